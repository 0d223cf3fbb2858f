"""Finds processes by marks in their environment, which whatever they start inherits. Linux; elsewhere none is found.

Standard library only, and quick to import: the launcher of apps uses it (`runtimes.launching`).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as type checkers know it; to import what has it costs start-up time
if TYPE_CHECKING:
    from collections.abc import Iterable


def marked_pids(marks: Iterable[str]) -> list[int]:
    """The processes whose environment holds every one of `marks` (`NAME=value`), where /proc tells."""
    wanted = [b"\0" + os.fsencode(mark) + b"\0" for mark in marks]
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:  # noqa: PTH123
                content = b"\0" + file.read() + b"\0"
        except OSError:  # another user's, or gone
            continue
        if all(mark in content for mark in wanted):
            found.append(int(entry))
    return found
