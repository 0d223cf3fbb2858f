"""Starts what is in place and waits until it works; the second half of every deploy, upgrade and restart.

`runtimes.switching` put it in place. What came of it is written down in the manifest's phase and in the health
record, before anybody is told.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from runtimes import cgroups, health, launching, logs, overruns, ports
from runtimes.applied import Applied, now
from runtimes.base import RuntimeFailure
from runtimes.crashes import Crashes
from runtimes.facts import HealthRecord, identities
from runtimes.front_config import Route
from runtimes.guests import EMBEDDED
from runtimes.health import ProbeResult
from runtimes.node_apps import NodeApps
from runtimes.supervisor_conf import STARTS_SECONDS
from runtimes.supervisor_rpc import ProcessInfo
from specs.appstate import AppState
from specs.model import AppSpec

_OUTPUT_LINES = 20
_MESSAGE_LINES = 5
_COMING_BACK = 2.0  # seconds; the supervisor starts anew at once, after a second if it had just started it
_LOOK_AGAIN = 0.02
_NOWHERE = "127.0.0.1:0"  # nobody listens there: requests wait in the front


class Starter:
    """Starts, probes and proves the apps of a node. The caller holds the lock of the app."""

    def __init__(self, node: NodeApps) -> None:
        self._node = node

    def start(self, applied: Applied) -> AppState:
        """Start what is in place and wait until it is healthy. Raises RuntimeFailure with the last lines."""
        node = self._node
        if applied.expose is not None:
            node.front.claim(applied.name, Route(applied.expose.port, applied.expose.host))
            node.store.put_upstream(applied.name, applied.side, _NOWHERE)
        applied = node.store.put(replace(applied, phase="starting", reloaded={}))
        if applied.isolation == EMBEDDED:
            node.guests.ensure(Path(applied.release))
            node.tell_of_guests()
        before = logs.positions(node.home, applied.name, applied.side)
        node.context.report("starting")
        began = time.time()
        node.supervisor.bring(applied.name, applied.processes, applied.side)
        node.context.report("probing")
        crashes = Crashes(lambda: node.processes(applied))
        grace = applied.health.grace if applied.health else STARTS_SECONDS * 3
        result = self.wait(applied, grace, crashes)
        if result.ok:
            self.proved(applied, crashes.seen)
            return node.state(applied.name, crashes.seen)
        killed = self._killed_since(applied, began)
        problem = f"{killed}: {result.message}" if killed else result.message
        said = logs.since(node.home, applied.name, before, _OUTPUT_LINES, applied.side)
        output = [line.text for line in said][-_OUTPUT_LINES:]
        message = f"{problem}: {' | '.join(output[-_MESSAGE_LINES:])}" if output else problem
        node.store.put(replace(applied, phase="failed", message=message))
        raise RuntimeFailure(
            applied.name,
            "start" if crashes.problem else "health",
            problem,
            output=output,
            reason="OutOfMemory" if killed else None,
            hint=f"see: celeriac logs {applied.name}",
        )

    def come_back(self, applied: Applied) -> Mapping[str, ProcessInfo]:
        """The processes of the app once those that ended were started again, as the supervisor does by itself.

        Those of now, where it will not, or not soon. To start them beside it would end what has just come up.
        """
        node = self._node
        deadline = time.monotonic() + _COMING_BACK
        while True:
            processes = node.processes(applied)
            states = {processes[name].state if name in processes else "" for name in applied.processes}
            comes = states & {"BACKOFF", "EXITED"} and states <= {"BACKOFF", "EXITED", "STARTING", "RUNNING"}
            if not comes or time.monotonic() > deadline or node.context.cancelled():
                return processes
            time.sleep(_LOOK_AGAIN)

    def wait(self, applied: Applied, grace: float, crashes: Crashes | None = None) -> ProbeResult:
        """Wait until every process is up, the probe is good, and it is this app that answers."""
        node = self._node
        watched = crashes or Crashes(lambda: node.processes(applied))

        def ask(left: float) -> ProbeResult:
            if applied.health is not None:
                result = self.probe(applied, left)
                if not result.ok:
                    return result
            if applied.expose is not None and not ports.is_open(applied.port):
                return ProbeResult(False, f"it does not take connections on its $PORT, {applied.port}")
            slow = watched.not_ready(applied, settled=applied.health is None) or self._not_begun(applied, watched.seen)
            return ProbeResult(not slow, slow)

        result = health.wait_healthy(ask, grace=grace, crashed=watched.look, cancelled=node.context.cancelled)
        for port in sorted({applied.health_port, applied.port if applied.expose is not None else 0} - {0}):
            if not result.ok:
                break
            if any(ports.listens(info.pid, port) for info in watched.seen.values() if info.pid):
                continue
            other = ports.answered_by_other(port, node.own_pids(applied.name, side=applied.side))
            if other:
                return ProbeResult(False, f"port {port} is answered by {other}, not by this app")
        return result

    def _killed_since(self, applied: Applied, began: float) -> str:
        """That a process of the app was killed for its memory after `began`; empty when none was."""
        if not applied.memory:
            return ""
        folder = str(self._node.store.folder(applied.name))
        cgroups.clean(str(self._node.home), self._node.supervisor.home_id, applied.name)
        recent = [overrun for overrun in overruns.known(folder) if overrun.at >= began]
        return f"{recent[-1].process} {recent[-1]}" if recent else ""

    def _not_begun(self, applied: Applied, processes: Mapping[str, ProcessInfo]) -> str:
        """Which process is still the launcher: a health check that does not ask the app itself may be good already."""
        for name, info in processes.items():
            if not self._node.observer.stamped(applied.name, info):
                return f"{name} has not begun"
        return ""

    def proved(self, applied: Applied, processes: Mapping[str, ProcessInfo] | None = None) -> None:
        """Remember that the app was healthy with exactly this: from here on the front may lead to it.

        `processes` are those of it that were, by default those that there are now.
        """
        node = self._node
        were = identities(node.processes(applied) if processes is None else processes)
        node.observer.put_record(applied.name, HealthRecord(were), applied.side)
        if applied.expose is not None:
            node.store.put_upstream(applied.name, applied.side, applied.upstream)
        if applied.phase != "running":
            applied = replace(applied, phase="running", applied_at=now())
        if applied != node.store.get(applied.name, applied.side):
            node.store.put(applied)

    def probe(self, applied: Applied, timeout: float | None) -> ProbeResult:
        """Ask the app once, in its own release and environment."""
        node = self._node
        manifest = msgspec.to_builtins(applied)
        env = launching.environment(manifest, node.store.env(applied.name, applied.side), os.environ, "health")
        spec = AppSpec(applied.name, applied.version, health=applied.health)
        return health.probe(
            spec,
            release=Path(applied.release),
            port=applied.health_port or None,
            env=env,
            cwd=node.store.folder(applied.name) / "data",
            timeout=timeout,
            cancelled=node.context.cancelled,
        )
