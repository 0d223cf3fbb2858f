"""What can go wrong with the repository, as errors that say what to do.

Raised by `specs.repository`, told apart by whoever decides between trying again and giving up.
`unreachable` turns what git said about a remote into one of them. No message holds a password.
"""

from __future__ import annotations

import re

from celeriac.errors import CeleriacError
from specs.git_command import GitError, GitFailedError, GitTimeoutError, summary

__all__ = [
    "AppsFolderMissing",
    "BranchMissing",
    "EmptyRepository",
    "MirrorDamaged",
    "RemoteUnreachable",
    "RepositoryError",
    "RevisionMissing",
    "unreachable",
]


class RepositoryError(CeleriacError):
    """The repository cannot be used as things are."""

    reason = "RepositoryError"


class RemoteUnreachable(RepositoryError):  # noqa: N818 - named, as its siblings, for what happened
    """The remote gave no answer, or refused; what was fetched before stays good."""

    reason = "RemoteUnreachable"


class BranchMissing(RepositoryError):  # noqa: N818
    """The remote has commits but not this branch."""

    reason = "BranchMissing"


class EmptyRepository(RepositoryError):  # noqa: N818
    """The remote has no commit at all."""

    reason = "EmptyRepository"


class RevisionMissing(RepositoryError):  # noqa: N818
    """No such revision, here or at the remote."""

    reason = "RevisionMissing"


class AppsFolderMissing(RepositoryError):  # noqa: N818
    """The revision has no folder of apps: never to be taken for `no apps are wanted`."""

    reason = "AppsFolderMissing"


class MirrorDamaged(RepositoryError):  # noqa: N818
    """The mirror lacks, or cannot read, what it should have; `Mirror.fetch` builds it anew."""

    reason = "MirrorDamaged"


_OWNER = re.compile(r"dubious ownership in repository at '([^']*)'")

_HINTS = (
    (
        r"host key verification failed",
        "the server's host key is not known to this user: check it, and add it to ~/.ssh/known_hosts",
    ),
    (
        r"authentication failed|could not read (username|password)|permission denied|prompts disabled|\b40[13]\b",
        "the remote refused this user: it needs an SSH key without passphrase (or an agent), or a credential helper",
    ),
    (
        r"could not resolve|timed out|refused|unreachable|no route|reset by peer|stopped after",
        "what was fetched before stays in force; it is tried again at the next interval",
    ),
    (
        r"not (appear to be a git|a git|a valid)|not found|does not exist|no such file|not a repository",
        "check the URL in CELERIAC_REPO_URL, and that this user may see the repository",
    ),
    (r"not allowed|unable to find remote helper", "use an https, ssh, git or file URL, or a path"),
)


def unreachable(shown_url: str, error: GitError) -> CeleriacError:
    """The error for what `error` says about the remote `shown_url` (a URL fit to be shown)."""
    if isinstance(error, GitTimeoutError):
        why = error.message
    elif isinstance(error, GitFailedError):
        why = summary(error.text)
    else:
        return error
    foreign = _OWNER.search(why)
    if foreign:
        return RepositoryError(
            f"{shown_url}: belongs to another user, so git does not read it",
            hint=f"if you trust it: git config --global --add safe.directory '{foreign[1]}'",
            reason="ForeignOwner",
        )
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, why, re.IGNORECASE)), "")
    return RemoteUnreachable(
        f"{shown_url}: cannot be reached: {why}",
        hint=hint or "run `git ls-remote` on this URL as the same user to see more",
    )
