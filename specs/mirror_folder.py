"""The folder that holds a mirror: its name, its lock, and its replacement as a whole.

Part of `specs.repository`. Below `<home>/mirror`, beside `<repo>.git`: `<repo>.lock`, `<repo>.new`
while a mirror is built, `<repo>.old` while it takes its place. Death at any point leaves either
a whole mirror or none, and litter that the next one removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from celeriac.settings import without_password
from specs.repository_errors import RepositoryError


class MirrorFolder:
    """The mirror of the repository at `url`, below `home`. `patience` is how long its lock is waited for."""

    def __init__(self, home: Path, url: str, patience: float) -> None:
        self.path = home.absolute() / "mirror" / f"{folder_name(url)}.git"
        self._patience = patience

    def identity(self) -> tuple[int, int] | None:
        """What tells this folder from the one that replaces it; None when there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def fresh(self) -> Path:
        """Where to build a mirror; the folder does not exist. The lock is held."""
        fresh = self.path.with_suffix(".new")
        self.discard(fresh)
        self.discard(self.path.with_suffix(".old"))
        return fresh

    def replace(self, fresh: Path) -> None:
        """Put the folder `fresh` in the mirror's place. The lock is held."""
        old = self.path.with_suffix(".old")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(old)
        fresh.rename(self.path)
        self.discard(old)

    def discard(self, folder: Path) -> None:
        """Remove `folder`, or whatever has its name."""
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the mirror's lock, which the kernel releases however this process ends."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._wait_for(file)
                yield
            finally:
                os.close(file)
        except OSError as error:
            raise RepositoryError(
                f"{error.filename or self.path}: {error.strerror or error}",
                hint="the home folder (CELERIAC_HOME) must be writable, and have space",
                reason="MirrorUnwritable",
            ) from error

    def _wait_for(self, file: int) -> None:
        deadline = time.monotonic() + self._patience
        while not _lock(file):
            if time.monotonic() > deadline:
                raise RepositoryError(
                    f"{self.path}: is held by another process", hint="see which git is running", reason="MirrorBusy"
                )
            time.sleep(0.02)


def folder_name(url: str) -> str:
    """A safe name for the mirror of `url`: readable, one per repository, the same after a password change."""
    shown = without_password(url)
    last = re.split(r"[/:]", shown.rstrip("/").removesuffix(".git").rstrip("/"))[-1]
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-")[:40] or "repository"
    return f"{safe}-{hashlib.sha256(shown.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
