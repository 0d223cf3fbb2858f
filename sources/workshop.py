"""Where one release is being built, how long that may take, and whether it is still wanted.

Handed by `sources.build` to whatever does a part of the work. The folder is a sibling of the finished release, so
that one rename publishes it; `scratch` is for downloads and checkouts and does not become part of the release.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from celeriac.process import CommandCancelledError
from sources.failure import BuildFailed


class Workshop:
    """One build in progress."""

    __slots__ = ("_asked", "cancelled", "deadline", "folder", "home", "report")

    def __init__(
        self,
        home: Path,
        folder: Path,
        *,
        deadline: float,
        cancelled: Callable[[], bool] = lambda: False,
        report: Callable[[str], None] = lambda phase: None,
    ) -> None:
        self.home = home
        self.folder = folder
        self.deadline = deadline
        self.cancelled = cancelled
        self.report = report
        self._asked = time.monotonic()

    @property
    def venv(self) -> Path:
        """The release's virtual environment."""
        return self.folder / "venv"

    @property
    def source(self) -> Path:
        """Where the files of an app go that is no installable project."""
        return self.folder / "src"

    @property
    def scratch(self) -> Path:
        """A folder for what is needed only while building."""
        path = self.folder / ".scratch"
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    @property
    def uv_cache(self) -> Path:
        """What uv has fetched and built, shared by all apps of the node."""
        return self.home / "cache" / "uv"

    @property
    def git_cache(self) -> Path:
        """The mirrors of apps' Git repositories, shared by all apps of the node."""
        return self.home / "cache" / "git"

    def remaining(self) -> float:
        """Seconds left for this build. Raises BuildFailed when none are."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise BuildFailed("the build took longer than it may", reason="BuildTimeout", retryable=True)
        return left

    def check(self) -> None:
        """A safe point: raises when the time is up or, asked twice a second, the build is no longer wanted."""
        self.remaining()
        now = time.monotonic()
        if now - self._asked >= 0.5:
            self._asked = now
            if self.cancelled():
                raise CommandCancelledError("the build was stopped: no longer wanted")
