"""Files that several processes share: written whole or not at all, and locks that die with their holder.

Used by every module here that keeps something on disk. A reader never sees half a file, and
`kill -9` of a writer leaves the old content and at most a temporary file beside it.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_APP_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def is_app_name(name: str) -> bool:
    """Whether `name` has the form of an app's name, and so is safe as a part of a path."""
    return _APP_NAME.fullmatch(name) is not None


def write_atomic(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by `content` in one step, readable by `mode` from the first byte on.

    The name of the temporary file is one per writer, so that two writers cannot mix. On a full disk, and after any
    other OSError, `path` is what it was, and nothing is left beside it.
    """
    temporary = f"{path}.{os.getpid()}-{threading.get_ident()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        try:
            _write_all(descriptor, content)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 - both are text already and this is the hot path of noop
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def link_atomic(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target` in one step, whatever it was before. Readers see the old or the new."""
    temporary = f"{link}.{os.getpid()}-{threading.get_ident()}.tmp"
    with suppress(FileNotFoundError):
        os.unlink(temporary)  # noqa: PTH108
    os.symlink(target, temporary)  # noqa: PTH211
    os.replace(temporary, link)  # noqa: PTH105


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock on `path` right now. Makes no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _write_all(descriptor: int, content: bytes) -> None:
    """A disk that has room for a part of it takes that part, and refuses the next."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


class LockTimeoutError(Exception):
    """The lock was held by another process for the whole time."""


@contextmanager
def locked(path: Path, *, timeout: float, give_up: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold an exclusive lock on `path` for the length of a `with` block.

    The kernel frees it when its holder dies, however that happens. `give_up` is called while
    waiting and may raise. Raises LockTimeoutError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + timeout
    pause = 0.002
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                give_up()
                if time.monotonic() > deadline:
                    raise LockTimeoutError(str(path)) from None
                time.sleep(pause)
                pause = min(pause * 1.5, 0.1)
        yield
    finally:
        os.close(descriptor)
