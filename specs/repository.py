"""The desired state's repository, mirrored: one bare Git mirror per repository below the home folder.

Asked by the pull (is there anything new? fetch it) and by the parse (which files, what is in
them). There is no work tree: everything is read from the object store at one revision, so
nothing in a commit can lead outside. What is promised:

- an idle tick is one `git ls-remote`
- one process at a time changes the mirror (a file lock), any number may read meanwhile
- force pushes are followed; a mirror that is half-written or damaged is built anew beside the
  old one and renamed into place, also when it is found out while reading

Its parts: `specs.remote` asks the remote, `specs.mirror_folder` names, locks and swaps the folder,
`specs.object_store` is the bare repository in it, `specs.git_objects` reads what git prints.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from celeriac.settings import is_ref_name
from specs.git_command import GitError, GitFailedError, GitTimeoutError, summary
from specs.git_objects import Commit, TreeEntry, parse_batch, parse_check, parse_log, parse_tree
from specs.mirror_folder import MirrorFolder
from specs.object_store import ObjectStore
from specs.remote import Remote, describe_remote
from specs.repository_errors import (
    AppsFolderMissing,
    BranchMissing,
    EmptyRepository,
    MirrorDamaged,
    RemoteUnreachable,
    RepositoryError,
    RevisionMissing,
    unreachable,
)

# fmt: off
__all__ = [
    "Commit", "Fetched", "Mirror", "TreeEntry", "describe_remote",
    "AppsFolderMissing", "BranchMissing", "EmptyRepository", "MirrorDamaged", "RemoteUnreachable",
    "RepositoryError", "RevisionMissing",
]
# fmt: on

_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHORT_ID = re.compile(r"[0-9a-f]{4,64}")
_RESOLVED = "refs/celeriac/resolved"
_BUILD_PATIENCE = 10  # a first fetch brings the whole history: this many timeouts
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch gave: the branch's revision now, and whether the mirror was made for it, or made anew."""

    revision: str
    cloned: bool
    rebuilt: bool
    seconds: float


class Mirror:
    """A bare mirror of one branch of the repository at `url`, below `home`. Making one touches nothing.

    `timeout` bounds each call of git; building the mirror may take ten times as long. Every
    method may raise RepositoryError, or GitMissingError where there is no git.
    """

    def __init__(self, url: str, branch: str, home: Path, timeout: float = 60) -> None:
        self._remote = Remote(url, branch, timeout)
        self.branch = branch
        self.timeout = timeout
        self._ref = self._remote.ref
        self._folder = MirrorFolder(home, self._remote.url, patience=timeout * (_BUILD_PATIENCE + 2))
        self.path = self._folder.path
        self._store = ObjectStore(self.path, timeout)

    def __repr__(self) -> str:
        return f"Mirror({self._remote.shown!r}, {self.branch!r})"

    def remote_revision(self) -> str:
        """The branch's revision at the remote, by one `git ls-remote`; nothing is fetched.

        Raises RemoteUnreachable, BranchMissing or EmptyRepository.
        """
        return self._remote.revision()

    def fetch(self) -> Fetched:
        """Bring the mirror to the remote's revision of the branch, making or repairing it where needed.

        On an error the mirror stays as good as it was.
        Raises RemoteUnreachable, BranchMissing or EmptyRepository.
        """
        started = time.monotonic()
        with self._folder.locked():
            cloned = not self.path.exists()
            found = "" if cloned else self._refresh()
            revision = found or self._build()
        return Fetched(revision, cloned, not (cloned or found), time.monotonic() - started)

    def has(self, revision: str) -> bool:
        """Whether the mirror holds the commit `revision` (a full id)."""
        return self._store.has(_checked(revision))

    def commit(self, revision: str) -> Commit:
        """Who made the commit `revision`, when, and its subject. Raises RevisionMissing."""
        return self.log(revision, 1)[0]

    def log(self, revision: str, count: int) -> list[Commit]:
        """The commit `revision` and those before it, newest first, `count` at most. Raises RevisionMissing."""
        form = "--format=%H%x00%an%x00%s%x00%ct"
        output = self._read(revision, "log", "-z", form, f"--max-count={count:d}", _checked(revision), "--")
        return parse_log(output)

    def tree(self, revision: str, folder: str, within: Sequence[str] = ()) -> list[TreeEntry]:
        """All files below `folder` at `revision`, symbolic links and submodules too.

        `within` leaves only those below these folders in it.
        Raises RevisionMissing, and AppsFolderMissing where there is no such folder, or nothing in it.
        """
        top = folder.strip("/") + "/"
        below = [f"{top}{name}/" for name in within] or [top]
        output = self._read(revision, "ls-tree", "-r", "-z", "-l", "--full-tree", _checked(revision), "--", *below)
        entries = parse_tree(output)
        if not entries:
            raise AppsFolderMissing(
                f"{self._remote.shown}: has no folder {folder!r} at {revision[:10]}",
                hint="nothing is removed because of this; set CELERIAC_APPS_DIR, or commit the folder",
            )
        return entries

    def changed(self, old: str, new: str, folder: str) -> list[str]:
        """The paths below `folder` that differ between the revisions `old` and `new`, removed ones too.

        Raises RevisionMissing, as after a rewritten history whose objects are gone.
        """
        below = folder.strip("/") + "/"
        names = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff")
        output = self._read((old, new), *names, _checked(old), _checked(new), "--", below)
        return [path.decode("utf-8", "surrogateescape") for path in output.split(b"\0") if path]

    def read(self, blobs: Sequence[str], max_size: int) -> dict[str, bytes]:
        """The contents of `blobs` by id.

        One that is larger than `max_size` bytes, or is no blob, is absent, and never read.
        """
        asked = "".join(f"{_checked(blob)}\n" for blob in dict.fromkeys(blobs)).encode()
        if not asked:
            return {}

        def read() -> dict[str, bytes]:
            sizes = parse_check(self._store.git("cat-file", "--batch-check", "--buffer", stdin=asked))
            small = [blob for blob, size in sizes.items() if size <= max_size]
            wanted = "".join(f"{blob}\n" for blob in small).encode()
            contents = parse_batch(self._store.git("cat-file", "--batch", "--buffer", stdin=wanted)) if small else {}
            if contents.keys() != set(small):
                raise ValueError("objects are missing")
            return contents

        return self._repairing(read, "blobs")

    def resolve(self, text: str) -> str:
        """The full id of the commit that `text` means: a branch or tag as the remote has it now, or a (short) id.

        `HEAD`, and what is written from it such as `HEAD~2`, is the mirror's. Raises RevisionMissing.
        """
        missing = RevisionMissing(
            f"{self._remote.shown}: has no branch, tag or commit {text!r}",
            hint="a short id needs to be one of this branch",
        )
        if not text or len(text) > 255 or text.startswith("-") or not text.isprintable() or ".." in text:
            raise missing
        if text == self.branch or not self.path.exists():
            fetched = self.fetch().revision
            if text == self.branch:
                return fetched
        if not is_ref_name(text) or text == "HEAD" or _SHORT_ID.fullmatch(text):
            known = self._store.commit_id(re.sub(r"^(HEAD|@)(?=$|[~^])", self._ref, text))
            if known:
                return known
        if is_ref_name(text):
            listed = self._remote.refs(f"refs/heads/{text}", f"refs/tags/{text}")
            for name in (f"refs/heads/{text}", f"refs/tags/{text}"):
                if name in listed:
                    return self._fetch_commit(name)
        if _OBJECT_ID.fullmatch(text):
            with contextlib.suppress(RemoteUnreachable):  # most remotes give any commit of theirs, some none
                return self._fetch_commit(text)
        raise missing

    def _fetch_commit(self, name: str) -> str:
        """Fetch one commit by its ref or id, beside the branch; its id."""
        try:
            with self._folder.locked():
                self._store.fetch(self._remote.url, f"+{name}:{_RESOLVED}")
                found = self._store.commit_id(_RESOLVED)
        except GitError as error:
            raise unreachable(self._remote.shown, error) from error
        if not found:
            raise RevisionMissing(f"{self._remote.shown}: {name} is no commit", hint="give a branch, tag or commit")
        return found

    def _refresh(self) -> str:
        """Fetch into the mirror that is there; the revision, or an empty text when the mirror is to blame."""
        try:
            self._store.fetch(self._remote.url, f"+{self._ref}:{self._ref}")
        except GitTimeoutError as error:
            raise unreachable(self._remote.shown, error) from error
        except GitFailedError:
            self._remote.revision()  # raises what is wrong with the remote
            return ""
        return self._store.whole(self._ref)

    def _build(self) -> str:
        """Make the mirror in a temporary folder and put it in place. The lock is held."""
        expected = self._remote.revision()
        fresh = self._folder.fresh()
        form = "sha256" if len(expected) == 64 else "sha1"
        try:
            store = ObjectStore(fresh, self.timeout * _BUILD_PATIENCE)
            store.init(form)
            store.fetch(self._remote.url, f"+{self._ref}:{self._ref}")
            revision = store.whole(self._ref)
        except GitTimeoutError as error:
            raise unreachable(self._remote.shown, error) from error
        except GitFailedError as error:
            self._remote.revision()  # raises what is wrong with the remote
            raise RepositoryError(
                f"{self._remote.shown}: cannot be fetched: {summary(error.text)}",
                hint="see that the disk has space, and that `git clone` of it works",
                reason="FetchFailed",
            ) from error
        if not revision:
            self._folder.discard(fresh)
            raise MirrorDamaged(f"{fresh}: is damaged as soon as it is made", hint="check the disk, and its space")
        self._folder.replace(fresh)
        return revision

    def _read(self, revisions: str | tuple[str, ...], *arguments: str) -> bytes:
        """The output of a git that reads `revisions`, all of which the mirror must hold."""
        needed = (revisions,) if isinstance(revisions, str) else revisions

        def read() -> bytes:
            try:
                return self._store.git(*arguments)
            except GitFailedError as error:
                absent = [revision for revision in needed if not self.has(revision)]
                if absent and self.path.exists() and self._store.whole(self._ref) not in {"", *absent}:
                    raise RevisionMissing(
                        f"{self._remote.shown}: the mirror has no revision {absent[0][:10]}",
                        hint="its history may have been rewritten; the next sync takes the newest",
                    ) from error
                raise

        return self._repairing(read, " ".join(revision[:10] for revision in needed))

    def _repairing(self, read: Callable[[], _T], what: str) -> _T:
        """`read()`; where the mirror proves damaged, build it anew, unless another process just has, and read again."""
        seen = self._folder.identity()
        with contextlib.suppress(GitFailedError, ValueError):
            return read()
        with self._folder.locked():
            if seen is None or self._folder.identity() == seen:
                try:
                    self._build()
                except RepositoryError as error:
                    raise MirrorDamaged(
                        f"{self.path}: cannot read {what}, nor be built anew: {error.message}", hint=error.hint
                    ) from error
        try:
            return read()
        except (GitFailedError, ValueError) as error:
            raise MirrorDamaged(
                f"{self.path}: cannot read {what}: {error}",
                hint="the remote does not have it any more, or the disk fails; the next sync takes the newest",
            ) from error


def _checked(object_id: str) -> str:
    if not _OBJECT_ID.fullmatch(object_id):
        raise RevisionMissing(f"{object_id[:80]!r} is not the full id of a commit or file")
    return object_id
