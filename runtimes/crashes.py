"""Watches the processes of one start, to tell early that there is no point in waiting for them.

Made anew by `runtimes.starting` for each start: what a process did before does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runtimes.applied import Applied
from runtimes.endings import how_it_ended
from runtimes.facts import all_up, given_up
from runtimes.supervisor_conf import STARTS_SECONDS
from runtimes.supervisor_rpc import ProcessInfo


class Crashes:
    """What became of the processes that `look` shows, since this was made. `problem` is why they will not come up.

    `seen` is what it showed the last time.
    """

    def __init__(self, look: Callable[[], Mapping[str, ProcessInfo]]) -> None:
        self._look = look
        self.seen: Mapping[str, ProcessInfo] = {}
        self._ends: dict[str, set[float]] = {}
        self._pids: dict[str, set[int]] = {}
        self._how: dict[str, str] = {}
        self.problem = ""

    def look(self) -> str:
        """Why the app will not come up; empty while it may."""
        self.seen = self._look()
        for info in self.seen.values():
            pids = self._pids.setdefault(info.name, set())
            if info.pid:
                pids.add(info.pid)
            if info.state in {"BACKOFF", "EXITED"}:
                self._ends.setdefault(info.name, set()).add(info.stopped)
                self._how[info.name] = f": {how_it_ended(info.error, info.exit_status, STARTS_SECONDS)}"
            if info.state == "FATAL":
                self.problem = given_up(info)
            elif len(self._ends.get(info.name, ())) > 1 or len(pids) > 2:
                self.problem = f"{info.name} ended again and again{self._how.get(info.name, '')}"
        return self.problem

    def not_ready(self, applied: Applied, *, settled: bool) -> str:
        """Which process is not up; one that ended before, or any if `settled`, must have stayed up."""
        processes = self.seen = self._look()
        if not all_up(applied, processes):
            down = [name for name in applied.processes if name not in processes or not processes[name].up]
            return f"{', '.join(down) or applied.name} is not up"
        for name, info in processes.items():
            if info.state != "RUNNING" and (settled or self._ends.get(name) or len(self._pids.get(name, ())) > 1):
                return f"{name} has not been up for {STARTS_SECONDS}s"
        return ""
