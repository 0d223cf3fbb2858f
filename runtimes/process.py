"""The default runtime: each app in a release and an environment of its own, run under the node's supervisor.

It puts things in an order in which a `kill -9` at any line leaves something that the next call, or nobody at
all, can go on from. What is on disk while the work goes on:

    build            nothing of the app has changed; the old one runs
    stop             the old manifest is in force, its processes are stopped: seen as stopped, deployed again
    switching        the new manifest is written, then environment, link and group: nothing may be started
    starting         all is in place; a start was asked for: a repeated deploy waits for it, a dead supervisor's
                     successor starts it
    running | failed what came of it

The launcher (`runtimes.launching`) reads manifest and environment at each start, so a crashed process comes back
with what is applied. One writer per app: a lock file per app, whoever else thinks to hold the lease.
That is strategy `restart`: build beside the running one, stop, switch, start, probe. With `blue_green` a second
generation is started beside the first (`runtimes.blue_green`). `hot_reload` of a hosted app is `runtimes.hot_reload`,
which falls back to these, and a new environment of one `runtimes.reconfiguring`. The working folder of an app is
`<home>/apps/<app>/data`; it survives upgrades and removal, and goes along when the app gets another name.

The work itself is in `bringing` (one app), `switching` and `starting` (its two halves), `blue_green` and `adoption` (a
new name). Exposed apps are reached through `front`.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

from runtimes import overruns, strays
from runtimes.adoption import Adoption
from runtimes.applied import Applied
from runtimes.base import RuntimeContext, RuntimeFailure, Superseded
from runtimes.bringing import Bringer
from runtimes.facts import HealthRecord, all_up, identities
from runtimes.files import is_app_name, is_locked
from runtimes.front_admin import FrontError
from runtimes.health import ProbeResult
from runtimes.hot_reload import Fallback
from runtimes.isolation import refuse_isolation
from runtimes.memory_watch import MemoryWatch
from runtimes.node_apps import NodeApps
from runtimes.overruns import Overrun
from runtimes.starting import Starter
from runtimes.supervisor_rpc import SupervisorError, SupervisorGoneError
from runtimes.switching import Switcher, described
from specs.appstate import AppState
from specs.digest import digest
from specs.model import AppSpec, Isolation


class ProcessRuntime:
    """Brings the apps of one node to their specs, as processes under its supervisor."""

    isolations: frozenset[Isolation] = frozenset({"process", "embedded"})

    def __init__(self, context: RuntimeContext) -> None:
        self.context = context
        self.home = context.home
        self._node = NodeApps(context)
        self.store = self._node.store
        self.supervisor = self._node.supervisor
        self.observer = self._node.observer
        self._watch = MemoryWatch(self.home)
        switcher = Switcher(self._node)
        self._starter = Starter(self._node)
        self._bringer = Bringer(self._node, switcher, self._starter)
        self._adoption = Adoption(self._node, switcher, self._starter, self._bringer)

    # The protocol

    def deploy(self, spec: AppSpec) -> AppState:
        """Have `spec` running and healthy. Nothing is restarted when it is already."""
        return self._bring(spec)

    def upgrade(self, spec: AppSpec, old_version: str) -> AppState:
        """Have `spec` running and healthy instead of `old_version`, which runs until the new one is built."""
        return self._bring(spec)

    def reconfigure(self, spec: AppSpec) -> AppState:
        """Have the app run with its new environment: a hosted one by its `config_change`, any by `run.reload_signal`
        where it is given, else by a restart.

        A process that is not hosted keeps the variables that it was started with: on the signal it reads
        CELERIAC_ENV_FILE again.
        """
        applied = self.applied(spec.name)
        wanted = digest(spec)
        if applied is None or applied.parts.release != wanted.release or not (spec.run.reload_signal or applied.app):
            return self._bring(spec)
        instead = None
        with self._node.changing(spec.name, "reconfigure"):
            self.supervisor.ensure_running()
            self._bringer.settle(spec.name)
            applied = self.applied(spec.name)
            if applied is not None:
                instead = self._bringer.reconfigure(spec, applied)
                if instead is None:
                    return self._node.state(spec.name)
        return self._bring(spec, instead)

    def remove(self, name: str) -> None:
        """Stop the app and forget it. Its releases, data and logs stay; see `sources.releases` for the pruning."""
        if not is_app_name(name) or not self._bringer.knows(name):
            return
        with self._node.changing(name, "remove"):
            self._bringer.forget(name)

    def current_state(self) -> dict[str, AppState]:
        """Every app of this node as it is observed. Starts nothing, not even the supervisor."""
        return self.observer.all()

    # Beyond the protocol

    def adopt(self, spec: AppSpec, old_name: str) -> AppState:
        """Have `spec` running and healthy in place of the app `old_name`, with its data and without a new build.

        Where version and source are equal the release of `old_name` is shared. Its working folder becomes the one of
        `spec.name`, and what that had before is kept beside it as `data.before-<old name>`. Its logs stay where they
        are. Returns when `old_name` is removed. When `spec.name` is deployed already it keeps its own data, and
        `old_name` is only removed; without an app `old_name` this is a deploy.

        When `spec` fails, `old_name` has its data back, runs and is healthy again, nothing of `spec.name` runs, and
        RuntimeFailure says why; reason NotRestored where `old_name` did not come up either. Superseded leaves
        all as it is at that line, for the newer state to go on from.

        After a crash at any line the same call goes on; nothing of both ever runs, and the data are in one of the
        two folders. `runtimes.adoption` says what is left at which line, and that deploying `old_name`
        instead takes back what a new app that was not yet seen healthy has.
        """
        refuse_isolation(spec, self.isolations, "process")
        if old_name == spec.name:
            return self._bring(spec)
        with self._node.changing(spec.name, "start", *self._adoption.concerned(spec.name, old_name)):
            self.supervisor.ensure_running()
            return self._adoption.adopt(spec, old_name)

    def record(self, spec: AppSpec) -> AppState:
        """Take over what needs no restart: description, icon, health, strategy and the like.

        Raises RuntimeFailure when `spec` would need one.
        """
        with self._node.changing(spec.name, "reconfigure"):
            applied = self.applied(spec.name)
            if applied is None or not applied.parts.runs_like(digest(spec)):
                raise RuntimeFailure(
                    spec.name, "reconfigure", "more than its description changed", reason="NotRecordOnly"
                )
            self.store.put(described(applied, spec))
            return self._node.state(spec.name)

    def check(self, spec: AppSpec) -> ProbeResult:
        """Ask the app once whether it works, and remember it: what the periodic health check does."""
        applied = self.applied(spec.name)
        if applied is None:
            return ProbeResult(False, "not deployed")
        try:
            processes = self._node.processes(applied)
        except SupervisorGoneError:
            return ProbeResult(False, "the supervisor is not running")
        if not all_up(applied, processes):
            down = [name for name in applied.processes if name not in processes or not processes[name].up]
            return ProbeResult(False, f"{', '.join(down) or spec.name} does not run")
        result = self._starter.probe(replace(applied, health=spec.health), None)
        known = self.observer.record(spec.name)
        if known is None or known.processes != identities(processes):
            known = HealthRecord({}, passed=False)
        age = time.time() - max(info.started for info in processes.values())
        starting = not known.passed and spec.health is not None and age < spec.health.grace
        self.observer.put_record(
            spec.name,
            HealthRecord(
                identities(processes),
                failures=0 if result.ok or starting else known.failures + 1,
                message="" if result.ok else result.message,
                passed=result.ok or known.passed,
            ),
            applied.side,  # by now another one may be in force
        )
        return result

    def verify(self, seconds: float = 1.0) -> int:
        """Look whether the releases that run are as they were built, those that are due; how many were looked at.

        Ends after about so many seconds; the rest is for the next call.
        """
        end = time.monotonic() + seconds
        looked = 0
        for applied in self.store.all().values():
            if self.observer.integrity.due(applied):
                self.observer.integrity.look(applied)
                looked += 1
                if time.monotonic() > end:
                    break
        return looked

    def stop(self, name: str) -> None:
        """Stop the app and keep it stopped until it is deployed or restarted."""
        with self._node.changing(name, "stop"):
            applied = self._node.require(name, "stop")
            self.store.put(replace(applied, phase="stopped"))
            self.supervisor.stop(name)
            self._bringer.settle(name)

    def restart(self, name: str) -> AppState:
        """Stop and start the app as it is applied; return when it is healthy."""
        with self._node.changing(name, "start", *self._adoption.concerned(name)):
            self.supervisor.ensure_running()
            self._adoption.settle(name)
            self._bringer.settle(name)
            applied = self._node.require(name, "stop")
            self.context.report("stopping")
            self.supervisor.stop(name)
            return self._starter.start(applied)

    def revive(self) -> None:
        """Have a supervisor; when the last one died, its strays are ended and its apps are started again, once.

        And have the front, where apps are exposed, and the shared host process, where apps are embedded.
        """
        self.supervisor.ensure_running()
        self._forget_unfinished()
        with contextlib.suppress(SupervisorError):  # as for the front
            self._node.guests.revive()
        self._node.tell_of_guests()
        with contextlib.suppress(FrontError, SupervisorError):  # looked at again soon; a deploy tells why
            self._node.front.ensure()

    def _forget_unfinished(self) -> None:
        """Forget groups without a manifest that nobody is about to write: of apps whose first build was cut off.

        One that runs has lost its manifest: it goes on until the next deploy replaces it.
        """
        for name in self.supervisor.apps() - self.store.all().keys():
            if is_app_name(name) and not is_locked(self.home / "locks" / name):
                with contextlib.suppress(RuntimeFailure, Superseded), self._node.changing(name, "remove"):
                    if self.applied(name) is None and not strays.find(self.home, name):
                        self.supervisor.remove(name)

    def watch_limits(self) -> dict[str, list[Overrun]]:
        """End what is over its memory limit where nothing else does; every kill that nobody was told of, by app."""
        limited = [name for name, applied in self.store.all().items() if applied.memory]
        self._watch.look(limited)
        found = {name: overruns.untold(str(self.store.folder(name))) for name in limited}
        return {name: those for name, those in found.items() if those}

    def overrun_told(self, name: str, overrun: Overrun) -> None:
        """Say that everybody was told of one that `watch_limits` returned."""
        overruns.told(str(self.store.folder(name)), overrun)

    def applied(self, name: str) -> Applied | None:
        """What is applied of `name`: version, digest, release, previous release and how far it got."""
        return self._node.applied(name)

    def all_applied(self) -> dict[str, Applied]:
        """What is applied of every app."""
        return self.store.all()

    def _bring(self, spec: AppSpec, unchanged: Fallback | None = None) -> AppState:
        """Bring the app to `spec`; where the supervisor dies meanwhile, which says nothing of the app, once more."""
        try:
            return self._bring_once(spec, unchanged)
        except RuntimeFailure as failure:
            if not isinstance(failure.__cause__, SupervisorGoneError):
                raise
        return self._bring_once(spec, unchanged)

    def _bring_once(self, spec: AppSpec, unchanged: Fallback | None) -> AppState:
        refuse_isolation(spec, self.isolations, "process")
        with self._node.changing(spec.name, "start", *self._adoption.concerned(spec.name)):
            self.supervisor.ensure_running()
            self._adoption.settle(spec.name)
            return self._bringer.bring(spec, unchanged)
