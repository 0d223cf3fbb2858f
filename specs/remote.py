"""The repository as the remote has it: its URL made safe, its branches and tags asked for.

Part of `specs.repository`, which fetches. Nothing here touches the mirror, so an answer tells
about the remote alone: that is how a failed fetch is blamed on the one or the other.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from celeriac.settings import is_ref_name, without_password
from specs.git_command import REMOTE, GitError, run_git, usable_url
from specs.git_objects import parse_refs
from specs.repository_errors import BranchMissing, EmptyRepository, RepositoryError, unreachable

_NOWHERE = Path("/dev/null")  # no repository: git then reads nothing but the user's configuration


class Remote:
    """One branch of the repository at `url`. Raises RepositoryError when either must not be given to git."""

    def __init__(self, url: str, branch: str, timeout: float) -> None:
        self.shown = describe_remote(url)
        try:
            self.url = usable_url(url)
        except ValueError as error:
            raise RepositoryError(
                f"{self.shown}: {error}",
                hint="CELERIAC_REPO_URL takes an https, ssh, git or file URL, host:path, or a path",
                reason="BadRepositoryUrl",
            ) from error
        if not is_ref_name(branch):
            raise RepositoryError(
                f"{branch!r} is not a branch name", hint="see CELERIAC_BRANCH", reason="BadBranchName"
            )
        self.branch = branch
        self.ref = f"refs/heads/{branch}"
        self._timeout = timeout

    def refs(self, *patterns: str) -> dict[str, str]:
        """Object ids by the full name of each branch or tag that ends in one of `patterns`."""
        try:
            output = run_git(
                ["ls-remote", "--", REMOTE, *patterns], git_dir=_NOWHERE, timeout=self._timeout, url=self.url
            )
            return parse_refs(output)
        except GitError as error:
            raise unreachable(self.shown, error) from error

    def revision(self) -> str:
        """The branch's revision, by one `git ls-remote`.

        Raises RemoteUnreachable, BranchMissing or EmptyRepository.
        """
        found = self.refs(self.ref).get(self.ref)
        if found:
            return found
        branches = [ref.removeprefix("refs/heads/") for ref in self.refs("refs/heads/*")]
        if not branches:
            raise EmptyRepository(f"{self.shown}: has no commits yet", hint=f"push a commit to {self.branch!r}")
        near = difflib.get_close_matches(self.branch, branches, n=1) or branches[:5]
        raise BranchMissing(
            f"{self.shown}: has no branch {self.branch!r}",
            hint=f"set CELERIAC_BRANCH; it has, for example: {', '.join(near)}",
        )


def describe_remote(url: str) -> str:
    """`url` fit to be shown: without user name and password."""
    return without_password(url)
