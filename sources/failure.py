"""What can go wrong on the way from a spec to a release, named by what happened.

Raised by every module of this package, caught by whoever decides what follows from it. `retryable` says
whether the same spec may succeed later with nobody changing it: a network that comes back, a version that is
published after the commit that asks for it. No text in here ever holds a credential: makers of messages
pass them through `sources.masking` first.
"""

from __future__ import annotations

from collections.abc import Sequence

from celeriac.errors import CeleriacError


class SourceFailure(CeleriacError):  # noqa: N818 - failures are named by what happened
    """A release could not be built. `output` holds the last lines that the tool printed."""

    reason = "SourceFailure"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        output: Sequence[str] = (),
        hint: str = "",
        reason: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)
        self.output = tuple(output)
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        lines = [self.message, *(f"  {line}" for line in self.output)]
        return "\n".join(lines + ([f"  {self.hint}"] if self.hint else []))


class BadSource(SourceFailure):
    """The spec's source cannot be built from as it is written."""

    reason = "BadSource"


class VersionMissing(SourceFailure):
    """The index, or the server, has no such version (yet)."""

    reason = "VersionMissing"
    retryable = True


class RefMissing(SourceFailure):
    """The Git repository has no such branch, tag or commit (yet)."""

    reason = "RefMissing"
    retryable = True


class Unreachable(SourceFailure):
    """Where the code comes from did not answer, or refused to."""

    reason = "Unreachable"
    retryable = True


class ChecksumMismatch(SourceFailure):
    """The file that was fetched is not the one that the spec pins."""

    reason = "ChecksumMismatch"


class UnsafeArchive(SourceFailure):
    """The archive is damaged, or holds what would reach outside of its folder."""

    reason = "UnsafeArchive"


class ArchiveTooLarge(SourceFailure):
    """The file, or what it unpacks to, is larger than any release may be."""

    reason = "ArchiveTooLarge"


class BuildFailed(SourceFailure):
    """The code was fetched, but could not be installed."""

    reason = "BuildFailed"


class NothingToRun(SourceFailure):
    """The release is built, but holds no command that the spec could mean."""

    reason = "NothingToRun"
