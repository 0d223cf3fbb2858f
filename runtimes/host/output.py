"""What guests print, each into its own log: `sys.stdout` and `sys.stderr` of the shared host, told apart by thread.

A thread belongs to the guest whose thread started it. What no thread tells (output of C code, of child processes, and
of threads that were started below Python's `threading`) goes to the log of the host itself.
"""

from __future__ import annotations

import io
import sys
import threading
from typing import Any, BinaryIO, TextIO

_owner = "_celeriac_guest"


def belongs_to(thread: threading.Thread, guest: object) -> None:
    """Say whose thread it is."""
    setattr(thread, _owner, guest)


def threads_of(guest: object) -> list[threading.Thread]:
    """The living threads of a guest."""
    return [thread for thread in threading.enumerate() if getattr(thread, _owner, None) is guest]


def install() -> None:
    """Tell threads, and what they print, apart from now on."""
    start = threading.Thread.start

    def started(self: threading.Thread) -> None:
        if not hasattr(self, _owner):
            belongs_to(self, getattr(threading.current_thread(), _owner, None))
        start(self)

    threading.Thread.start = started  # type: ignore[method-assign]
    sys.stdout = _Output(sys.stdout)
    sys.stderr = _Output(sys.stderr)


class _Output(io.TextIOBase):
    """Writes to the `log` of the guest whose thread writes; of nobody's threads to where it went before."""

    def __init__(self, own: TextIO) -> None:
        self._own = own

    encoding = "utf-8"
    errors = "backslashreplace"

    def _where(self) -> TextIO:
        guest: Any = getattr(threading.current_thread(), _owner, None)
        log: TextIO | None = getattr(guest, "log", None)
        return self._own if log is None or log.closed else log

    @property
    def buffer(self) -> BinaryIO:
        """Where bytes go: to the same file."""
        return self._where().buffer

    def reconfigure(self, **options: Any) -> None:
        """It is as it is: a line is in the log once it is whole, and any character can be."""

    def write(self, text: str) -> int:
        """As any text stream."""
        return self._where().write(text)

    def flush(self) -> None:
        """As any text stream."""
        self._where().flush()

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """That of the host's own log: whatever goes past Python goes there."""
        return self._own.fileno()

    def isatty(self) -> bool:
        """It is none."""
        return False
