"""Looks after the apps with a memory limit, every few seconds: what the kernel does not do by itself is done here.

- Where no control group holds an app (`limits.RLIMIT`), a process that uses more than its limit, its children counted,
  is killed with them. Pages that they share are counted once: forked workers do not add up to more than there is.
- Where the kernel killed only the biggest process of a control group, as v1 does, the rest is killed too, so that the
  supervisor starts the whole anew: the same in every mechanism.
- Control groups in which nothing lives are removed.

Each kill is remembered before it is done (`runtimes.overruns`): dying in between, the next look kills. Where it cannot
be remembered, on a full disk, it is done all the same.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

from runtimes import cgroups, overruns, strays
from runtimes.launching import start_ticks
from runtimes.limits import RLIMIT
from runtimes.overruns import Overrun
from runtimes.sides import SIDES

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """One living process: its parent, its process group, and the bytes of memory in use, shared ones in full."""

    parent: int
    group: int
    resident: int


class MemoryWatch:
    """Looks after the apps below `home`."""

    def __init__(self, home: Path) -> None:
        self._home = str(home)
        self._home_id = strays.home_id(home)

    def look(self, apps: Iterable[str]) -> None:
        """Look once after `apps`, those that have a memory limit."""
        self._watch(list(apps))
        for found in cgroups.present(self._home, self._home_id):
            overrun = cgroups.overrun_in(self._home, found) if found.pids else None
            if overrun is not None:
                self._note(found.name.app, overrun)
                _end(found.pids, lambda path=found.path: cgroups.members(path))  # type: ignore[misc]
        cgroups.clean(self._home, self._home_id)

    def _watch(self, apps: list[str]) -> None:
        watched = [(app, process, stamp) for app in apps for process, stamp in self._held_by_rlimit(app)]
        if not watched:
            return
        table = usages()
        for app, process, stamp in watched:
            pids = tree(stamp.pid, table)
            if sum(table[pid].resident for pid in pids) <= stamp.memory:
                continue
            used = sum(own_share(pid, table[pid].resident) for pid in pids)
            if used > stamp.memory and start_ticks(stamp.pid) == stamp.ticks:
                self._note(app, Overrun(process, stamp.instance, time.time(), stamp.memory, RLIMIT))
                _end(pids, lambda leader=stamp.pid: tree(leader, usages()))  # type: ignore[misc]

    def _held_by_rlimit(self, app: str) -> Iterable[tuple[str, strays.RunStamp]]:
        stamps = (one for side in SIDES for one in strays.stamps(Path(self._folder(app)) / side).items())
        for process, stamp in stamps:
            if stamp.memory and stamp.limits.get("memory") == RLIMIT and start_ticks(stamp.pid) == stamp.ticks:
                yield process, stamp

    def _note(self, app: str, overrun: Overrun) -> None:
        with contextlib.suppress(OSError):
            overruns.note(self._folder(app), overrun)

    def _folder(self, app: str) -> str:
        return f"{self._home}/apps/{app}"


def _end(pids: Iterable[int], again: Callable[[], Collection[int]]) -> None:
    """Kill `pids`, those that `again` still tells once they are pinned: an id may be another process's by then."""
    pinned = strays.pinned(pids)
    still = again()
    strays.end([process for process in pinned if process.pid in still], grace=0)


def usages() -> dict[int, Usage]:
    """Every living process of this machine, in one look."""
    found = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
                found[int(entry)] = Usage(int(fields[1]), int(fields[2]), int(fields[21]) * _PAGE)
    return found


def tree(leader: int, table: Mapping[int, Usage]) -> set[int]:
    """`leader`, all below it, and those of its process group whose parents have ended. Pure."""
    children: dict[int, list[int]] = {}
    for pid, usage in table.items():
        children.setdefault(usage.parent, []).append(pid)
    found: set[int] = set()
    waiting = [pid for pid, usage in table.items() if pid == leader or usage.group == leader]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, ())
    return found


def own_share(pid: int, resident: int) -> int:
    """The bytes that a process uses, what it shares with others divided among them; `resident` where that is secret."""
    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0
    except (psutil.Error, AttributeError, OSError):
        return resident
