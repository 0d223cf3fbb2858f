"""Brings one app to its spec, or to nothing: the order of things that `runtimes.process` promises.

Whoever calls holds the lock of the app and has seen to it that a supervisor runs. Used by `runtimes.process` and,
for the two apps of a renaming, by `runtimes.adoption`.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

from runtimes import inheritance, releases
from runtimes.applied import ENV, Applied
from runtimes.blue_green import BlueGreen, fell_back, why_not
from runtimes.facts import all_up, identities, took_over
from runtimes.hot_reload import Fallback, HotReload
from runtimes.node_apps import NodeApps
from runtimes.reconfiguring import Reconfiguring
from runtimes.starting import Starter
from runtimes.supervisor_conf import STARTS_SECONDS
from runtimes.supervisor_rpc import ProcessInfo, SupervisorError
from runtimes.switching import Switcher, described
from specs.appstate import AppState
from specs.digest import Digest, digest
from specs.model import AppSpec

_HEAD_START = 0.02  # seconds until a build waits for uv, and would not be held up by what else this process does


class Bringer:
    """Does to one app of a node what its spec says."""

    def __init__(self, node: NodeApps, switcher: Switcher, starter: Starter) -> None:
        self._node = node
        self._switcher = switcher
        self._starter = starter
        self._blue_green = BlueGreen(node, switcher, starter)
        self._hot_reload = HotReload(node, starter)
        self._reconfiguring = Reconfiguring(node, starter)

    def bring(self, spec: AppSpec, unchanged: Fallback | None = None) -> AppState:
        """Have `spec` running and healthy: build beside what runs, then by its strategy; see `_restart`.

        `unchanged` says why its environment could not be given to the running process, where that was tried.
        """
        node, switcher = self._node, self._switcher
        self.settle(spec.name)
        applied = node.applied(spec.name)
        if applied is None:
            return self._bring_new(spec)
        if self.goes_on(spec, applied):
            return node.state(spec.name)
        release, processes = switcher.build(spec, applied)
        tried: str = spec.upgrade.strategy
        instead = None
        if tried == "hot_reload":
            instead = self._hot_reload.bring(spec, applied, release, processes)
            if instead is None:
                node.front.settle(spec.name, node.route(spec))
                return node.state(spec.name)
        if unchanged is not None and unchanged.said:
            tried, instead = "config_change", unchanged
        switcher.refuse_taken_ports(spec, wait=False)
        routed = switcher.refuse_taken_route(spec)
        beside = applied if spec.upgrade.strategy != "restart" and self._blue_green.can(applied) else None
        hindered = why_not(spec) if routed else "until now the app itself had the port that it is to be exposed by"
        if beside is not None:
            hindered = hindered or node.guests.why_not_beside(beside, spec, release)
        if beside is not None and not hindered:
            message = self._tell(spec, tried, instead, by="blue_green") if instead is not None else ""
            state = self._blue_green.bring(spec, beside, release, processes, message)
            node.front.settle(spec.name, node.route(spec))
            node.guests.settle()
            return state
        if instead is None and beside is not None:
            instead = Fallback(hindered)
        message = self._tell(spec, tried, instead) if instead is not None else ""
        return self._restart(spec, applied, release, processes, message)

    def _bring_new(self, spec: AppSpec) -> AppState:
        """Have an app running of which nothing is in force. The supervisor is told of it while it is being built.

        Killed before the manifest is written, there is a group without one: the next deploy takes it over, else the
        next look at this node forgets it (`runtimes.process.revive`).
        """
        node, switcher = self._node, self._switcher
        built = Event()

        def tell() -> bool:
            built.wait(_HEAD_START)
            return node.supervisor.put_new(spec.name, spec.run.names)

        with ThreadPoolExecutor(1, "group") as pool:
            told = pool.submit(tell)
            try:
                try:
                    release, processes = switcher.build(spec, None)
                finally:
                    built.set()
                switcher.refuse_taken_ports(spec, wait=False)
                switcher.refuse_taken_route(spec)
                known = told.result() and processes.keys() == set(spec.run.names)
                return self._restart(spec, None, release, processes, known=known)
            except BaseException:
                if told.exception() is None and told.result() and node.applied(spec.name) is None:
                    with contextlib.suppress(SupervisorError):  # why it failed is what counts
                        node.supervisor.remove(spec.name)
                raise

    def settle(self, name: str) -> None:
        """Leave one generation of `name`, where an upgrade beside itself was cut off."""
        self._blue_green.settle(name)

    def _restart(
        self,
        spec: AppSpec,
        applied: Applied | None,
        release: Path,
        processes: Mapping[str, tuple[str, ...]],
        message: str = "",
        *,
        known: bool = False,
    ) -> AppState:
        """Stop, switch, start, probe. `known`: the supervisor has its group already, and nothing of it runs."""
        node, switcher = self._node, self._switcher
        if not known:
            node.context.report("stopping")
            node.supervisor.stop(spec.name)
        if spec.expose is None:
            node.front.settle(spec.name, None)
        switcher.refuse_taken_ports(spec, wait=True)
        with switcher.switched(spec, release, processes, applied, known=known) as switched:
            state = self._starter.start(replace(switched, message=message))
        node.front.settle(spec.name, node.route(spec))
        node.guests.settle()
        return state

    def goes_on(self, spec: AppSpec, applied: Applied) -> bool:
        """Whether the app already runs as it should; its files are put right on the way, without a restart."""
        node = self._node
        if not applied.parts.runs_like(digest(spec)):
            return False
        if applied.phase in {"switching", "removing", "stopped"} or node.damaged(applied):
            return False
        processes = self._starter.come_back(applied)
        if not all_up(applied, processes) or not self._started_for(applied, processes):
            return False
        wanted = described(applied, spec)
        if applied.phase == "failed":  # its message tells of what is over
            wanted = replace(wanted, message="")
        node.context.report("probing")
        age = time.time() - max(info.started for info in processes.values())
        grace = spec.health.grace if spec.health else STARTS_SECONDS * 2
        if not self._starter.wait(wanted, max(grace - age, 0.0)).ok or not self._started_for(applied, processes):
            return False
        self._switcher.refuse_taken_route(spec)
        node.store.put_env(spec.name, spec.env)
        folder = node.store.folder(spec.name)
        if releases.read_current(folder) != Path(applied.release):
            releases.switch_current(folder, Path(applied.release))
        self._starter.proved(replace(wanted, env_sha256=node.store.env_sha256(spec.name)))
        node.front.settle(spec.name, node.route(spec))
        return True

    def _started_for(self, applied: Applied, processes: Mapping[str, ProcessInfo]) -> bool:
        """Whether what lives was started with what is applied; of what is still the launcher nothing is known yet."""
        for name, info in processes.items():
            running = self._node.observer.running(applied, info)
            if not running and info.state == "STARTING":
                continue
            if Digest.parse(running).runs_like(applied.parts):
                continue
            if applied.app or not took_over(applied, name, info):
                return False
        return True

    def reconfigure(self, spec: AppSpec, applied: Applied) -> Fallback | None:
        """Have the running app take its new environment over; or say why it is to be brought to it by `bring`."""
        if not applied.app:
            return None if self.signal(spec, applied) else Fallback("it did not take the signal", said=False)
        if self.goes_on(spec, applied):
            return None
        return self._reconfiguring.bring(spec, applied)

    def _tell(self, spec: AppSpec, strategy: str, instead: Fallback, by: str = "restart") -> str:
        """Tell that something else is done than the strategy says; the app's message about it."""
        if not instead.said:
            return ""
        self._node.context.tell("upgrade.fallback", spec, {"strategy": strategy, "by": by, "why": instead.why})
        return fell_back(strategy, by, instead.why)

    def signal(self, spec: AppSpec, applied: Applied) -> bool:
        """Give the running app its new environment file and tell it; false when it must be restarted instead.

        The environment goes first: a process that crashes between the two starts with the new one under the old
        stamp, which is observed and repaired; the other way round would be a stamp that lies.
        """
        node = self._node
        processes = node.processes(applied)
        if not all_up(applied, processes) or node.observer.drift(applied) or applied.phase != "running":
            return False
        env_sha256 = node.store.put_env(spec.name, spec.env)
        changed = described(replace(applied, env_sha256=env_sha256, digest=str(digest(spec))), spec)
        node.store.put(replace(changed, phase="starting"))
        name = spec.run.reload_signal.upper().removeprefix("SIG")
        node.supervisor.signal(spec.name, applied.processes, name, applied.side)
        grace = spec.health.grace if spec.health else STARTS_SECONDS * 2
        after = node.processes(applied)
        if identities(after) != identities(processes) or not self._starter.wait(changed, grace).ok:
            return False
        self._starter.proved(replace(changed, reloaded=identities(after)))
        return True

    def knows(self, name: str) -> bool:
        """Whether there is anything of `name` to be removed."""
        node = self._node
        return (
            node.applied(name) is not None or node.supervisor.has_conf(name) or (node.store.folder(name) / ENV).exists()
        )

    def forget(self, name: str) -> None:
        """Stop the app and forget it. Its releases, data and logs stay."""
        node = self._node
        applied = node.applied(name)
        if applied is not None:
            node.store.put(replace(applied, phase="removing"))
        node.supervisor.remove(name)
        node.front.settle(name, None)
        folder = node.store.folder(name)
        releases.drop_current(folder)
        (folder / "integrity.json").unlink(missing_ok=True)
        shutil.rmtree(folder / "run", ignore_errors=True)
        inheritance.drop_heir(folder)
        node.guests.settle()
        node.store.drop(name)  # last: until here a repeated removal finds it
