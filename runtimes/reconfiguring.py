"""Gives a hosted app its new environment while it runs: `config_change`, else `run.reload_signal`, through its host.

Values go by the environment file, never over the socket. The file goes first: a process that crashes in between starts
with the new environment under the old stamp, which is observed and repaired. Killed at any later line, the host says
which environment it has taken over, and the next call goes on from there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from runtimes.applied import Applied
from runtimes.facts import all_up, identities
from runtimes.host_client import HostClient, HostGone, HostRefused
from runtimes.hot_reload import CHANGE_SECONDS, DRAIN_SECONDS, LEASE_SECONDS, Fallback
from runtimes.node_apps import NodeApps
from runtimes.starting import Starter
from runtimes.supervisor_conf import STARTS_SECONDS
from runtimes.switching import described
from specs.digest import Digest, digest
from specs.model import MAIN, AppSpec


class Reconfiguring:
    """Reconfigures the hosted apps of a node. The caller holds the lock of the app."""

    def __init__(self, node: NodeApps, starter: Starter) -> None:
        self._node = node
        self._starter = starter

    def bring(self, spec: AppSpec, applied: Applied) -> Fallback | None:
        """Have the running app take over the environment of `spec`; or say why it must be restarted."""
        node = self._node
        processes = node.processes(applied)
        if set(processes) != {MAIN} or not all_up(applied, processes):
            return Fallback("it does not run", said=False)
        try:
            with HostClient(Path(applied.env_file).parent, MAIN, processes[MAIN].pid) as host:
                status = host.ask("status")
                running = Digest.parse(str(status["digest"]))
                if running.release != digest(spec).release:
                    return Fallback("it runs another release", said=False)
                if not status["config_change"] and not spec.run.reload_signal:
                    return Fallback("it has no config_change", said=False)
                changed = self._change(host, spec, applied, bool(status["config_change"]))
        except HostGone as error:
            return Fallback(f"the host process: {error}")
        except HostRefused as refused:
            return Fallback(str(refused))
        grace = spec.health.grace if spec.health else STARTS_SECONDS * 2
        after = node.processes(applied)
        if identities(after) != identities(processes):
            return Fallback("its process ended")
        result = self._starter.wait(changed, grace)
        if not result.ok:
            return Fallback(f"reconfigured, but {result.message}")
        self._starter.proved(replace(changed, reloaded=identities(after)))
        return None

    def _change(self, host: HostClient, spec: AppSpec, applied: Applied, hook: bool) -> Applied:
        """Raises HostRefused, with file and manifest put back, and HostGone."""
        store = self._node.store
        if hook:
            limits: dict[str, Any] = {"seconds": LEASE_SECONDS, "drain": DRAIN_SECONDS}
            host.ask("suspend", timeout=DRAIN_SECONDS + CHANGE_SECONDS, bound=True, **limits)
        env = store.env(spec.name)
        env_sha256 = store.put_env(spec.name, spec.env)
        changed = described(
            replace(applied, env_sha256=env_sha256, reload_signal=spec.run.reload_signal, phase="starting"), spec
        )
        changed = store.put(replace(changed, reloaded=identities(self._node.processes(applied))))
        try:
            signal = {} if hook else {"signal_name": spec.run.reload_signal}
            host.ask("reconfigure", timeout=CHANGE_SECONDS, digest=str(digest(spec)), **signal)
        except HostRefused:
            store.put_env(spec.name, env)
            store.put(applied)
            raise
        if hook:
            host.ask("resume")
        return changed
