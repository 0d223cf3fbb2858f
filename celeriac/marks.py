"""Finds processes by marks in their environment, which whatever they start inherits. Linux; elsewhere none is found.

Standard library only, and quick to import: the launcher of apps uses it (`runtimes.launching`).
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # as type checkers know it; to import what has it costs start-up time
if TYPE_CHECKING:
    from collections.abc import Iterable


_EXEC = 0.02  # seconds; the moment in which a process that becomes another program has no environment to be read


def marked_pids(marks: Iterable[str]) -> list[int]:
    """The processes whose environment holds every one of `marks` (`NAME=value`), where /proc tells."""
    wanted = [b"\0" + os.fsencode(mark) + b"\0" for mark in marks]
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208
        if not entry.isdigit():
            continue
        try:
            content = _environment(f"/proc/{entry}")
        except OSError:  # another user's, or gone
            continue
        if all(mark in content for mark in wanted):
            found.append(int(entry))
    return found


def _environment(process: str) -> bytes:
    """The environment of a process. Who is just becoming another program is waited for, else it would be missed."""
    content = _read(f"{process}/environ")
    if not content:
        os.readlink(f"{process}/exe")  # noqa: PTH115 - raises for what has no program: the kernel's own, the ended
        deadline = time.monotonic() + _EXEC
        while True:
            began = _read(f"{process}/cmdline")  # which it has a little before the environment
            content = _read(f"{process}/environ")
            if content or began or time.monotonic() > deadline:
                break
            time.sleep(0.001)
    return b"\0" + content + b"\0"


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()
