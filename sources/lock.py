"""A lock between processes of one machine that no death leaves behind.

The kernel drops a `flock` with the process that holds it, `kill -9` included, so whoever gets the lock
knows that what it finds half done belongs to nobody. Used per app by `sources.build` and per mirror by
`sources.git`. Lock files are never deleted: that would let two holders lock two files of one name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from celeriac.process import CommandCancelledError
from sources.failure import BuildFailed

_NAP = 0.05


@contextlib.contextmanager
def locked(
    path: Path, *, deadline: float, cancelled: Callable[[], bool] = lambda: False, shared: bool = False
) -> Iterator[None]:
    """Hold the lock file `path`; its folder must exist. `deadline` is a `time.monotonic()` value.

    Any number may hold it `shared`, while nobody holds it alone.

    Raises CommandCancelledError when `cancelled` becomes true, BuildFailed (to be retried) at the deadline.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        asked = 0.0
        while not _try(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            now = time.monotonic()
            if now >= deadline:
                raise BuildFailed(
                    f"another build has held {path.name} for too long",
                    hint="it is tried again; a build that hangs ends at its own time limit",
                    retryable=True,
                )
            if now - asked >= 0.5:
                asked = now
                if cancelled():
                    raise CommandCancelledError("the build was stopped while it waited: no longer wanted")
            time.sleep(_NAP)
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
