"""One bare repository on disk, as few commands of git as it takes.

Part of `specs.repository`, which decides when to fetch, what to believe and when to build anew.
Every method may raise GitFailedError, or GitTimeoutError after `timeout` seconds.
"""

from __future__ import annotations

import re
from pathlib import Path

from specs.git_command import REMOTE, GitFailedError, run_git

_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class ObjectStore:
    """The bare repository in `folder`, which need not exist, nor be sound."""

    def __init__(self, folder: Path, timeout: float) -> None:
        self._folder = folder
        self._timeout = timeout

    def git(self, *arguments: str, url: str = "", stdin: bytes = b"") -> bytes:
        """The standard output of `git ARGUMENTS` on this repository."""
        return run_git(arguments, git_dir=self._folder, timeout=self._timeout, url=url, stdin=stdin)

    def init(self, object_format: str) -> None:
        """Make it, empty, without the hooks of any template."""
        self.git("init", "--bare", "--quiet", "--template=", f"--object-format={object_format}")

    def fetch(self, url: str, refspec: str) -> None:
        """Bring what `refspec` names from the repository at `url`, and nothing else: no tags, no submodules."""
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        self.git("fetch", *options, "--", REMOTE, refspec, url=url)

    def has(self, revision: str) -> bool:
        """Whether the commit `revision` (a full id) can be read."""
        try:
            self.git("cat-file", "-e", f"{revision}^{{commit}}")
        except GitFailedError:
            return False
        return True

    def commit_id(self, name: str) -> str:
        """The id of the commit that `name` means, by git's rules; an empty text when none."""
        try:
            found = self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except GitFailedError:
            return ""
        last = found.decode("ascii", "replace").split()[-1:]  # an old git repeats the end of options
        return last[0] if last and _ID.fullmatch(last[0]) else ""

    def whole(self, ref: str) -> str:
        """The id of the commit at `ref`; an empty text unless its trees can be read and its blobs are there."""
        revision = self.commit_id(ref)
        if revision:
            try:
                self.git("rev-list", "--quiet", "--objects", "--no-walk", revision, "--")
            except GitFailedError:
                return ""
        return revision
