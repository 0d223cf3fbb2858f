"""Upgrades an app beside itself: a second generation is started, proved, put in force, and the first one drains.

Both run under the same supervisor, each with a manifest, an environment, locks and (where the app is exposed) a private
port of its own, so that a crash of either brings back the right release. Only what is in force gets requests: the front
finds it through the link `live`, which is swapped in one step together with manifest and environment. What a `kill -9`
of whoever does this leaves after each line, and who goes on; the old generation answers until the link is swapped, the
new one from then on, whatever else happens:

    line               left behind                                         next deploy, upgrade, sync
    build              a release more                                      uses it
    port               a note of a port that no manifest has               the port is free
    prepare            a second generation, not started                    ends it, begins anew
    start, probe       a second generation that runs, without requests     ends it, begins anew
    prove              the same, known to be healthy                       ends it, begins anew
    swap `live`        the new one in force; the old one runs,             goes on: links, drains the old one, ends it;
                       without new requests                                the new one is not restarted
    links              the same                                            the same
    drain              the same; the old one is not started again          the same
    stop               a folder of a generation that is gone               removes it
    forget             nothing                                             nothing

`settle` is all of "goes on", and "ends it". A second generation that nobody is at work on is observed as drift, so that
a sync comes to it by itself. A supervisor that dies takes both along; its successor starts what is in force. A front
that dies is started by the supervisor, and finds the same link.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from runtimes import connections, logs, releases
from runtimes.applied import Applied
from runtimes.facts import all_up
from runtimes.front_admin import FrontError
from runtimes.front_config import Route
from runtimes.node_apps import NodeApps
from runtimes.sides import Side, other
from runtimes.starting import Starter
from runtimes.supervisor_rpc import SupervisorError, SupervisorGoneError
from runtimes.switching import Switcher
from specs.appstate import AppState
from specs.model import AppSpec

DRAIN_SECONDS = 30.0
_CALM = 0.35


class BlueGreen:
    """Upgrades apps of a node beside themselves. The caller holds the lock of the app."""

    def __init__(self, node: NodeApps, switcher: Switcher, starter: Starter) -> None:
        self._node = node
        self._switcher = switcher
        self._starter = starter

    def can(self, applied: Applied | None) -> bool:
        """Whether anything runs beside which a new generation could be started."""
        return (
            applied is not None
            and applied.phase not in {"switching", "removing", "stopped"}
            and all_up(applied, self._node.processes(applied))
        )

    def bring(
        self,
        spec: AppSpec,
        applied: Applied,
        release: Path,
        processes: Mapping[str, tuple[str, ...]],
        message: str = "",
    ) -> AppState:
        """Have `spec` in force and healthy, and `applied` until then. When it does not come up, nothing has changed."""
        node, side = self._node, other(applied.side)
        with self._given_up_whole(applied, side):
            with self._switcher.prepared(spec, release, processes, applied, side) as candidate:
                logs.begin(node.home, spec.name, side, candidate.processes)
                self._starter.start(replace(candidate, message=message))
            node.context.report("switching")
            node.store.go_live(spec.name, side)
        try:
            self.settle(spec.name)
        except SupervisorGoneError:
            raise
        except SupervisorError:  # an old one that does not end is observed as drift; the new one is in force and well
            pass
        return node.state(spec.name)

    def settle(self, name: str) -> None:
        """Leave one generation of `name`: what the switch to it was to do is done, any other drains and ends."""
        store = self._node.store
        applied = self._node.applied(name)
        side = store.standing_by(name)
        if applied is None or side is None:
            return
        releases.switch_current(store.folder(name), Path(applied.release))
        logs.point(self._node.home, name, applied.side, applied.processes)
        old = store.get(name, side)
        if old is not None:
            self._node.context.report("draining")
            old = store.put(replace(old, phase="draining"))
            self._drain(old)
        self.end(name, side)

    def end(self, name: str, side: Side) -> None:
        """Stop one generation, which is not in force, and forget it."""
        self._node.supervisor.stop(name, side)
        self._node.store.drop_side(name, side)

    def _drain(self, old: Applied) -> None:
        """Wait until a generation that gets no more requests has answered those it has, but not for ever.

        The front closes its idle connections soon (`front_config.IDLE`), so those that stay are at work. A request that
        was on its way at the moment of the switch may still open one: there must be none for a while.
        """
        if old.expose is None or not old.port:
            return
        deadline = time.monotonic() + DRAIN_SECONDS
        calm_since = None if connections.established(old.port) else time.monotonic()
        while (now := time.monotonic()) < deadline and (calm_since is None or now - calm_since < _CALM):
            time.sleep(0.05)
            if connections.established(old.port):
                calm_since = None
            elif calm_since is None:
                calm_since = time.monotonic()

    @contextlib.contextmanager
    def _given_up_whole(self, old: Applied, side: Side) -> Iterator[None]:
        """Whatever goes wrong before the switch, nothing of the new generation stays, nor the port it asked for."""
        try:
            yield
        except Exception:
            if self._node.store.live_side(old.name) != side:
                self.end(old.name, side)
                route = Route(old.expose.port, old.expose.host) if old.expose is not None else None
                with contextlib.suppress(FrontError, SupervisorError):  # what went wrong first is what is told
                    self._node.front.settle(old.name, route)
            raise


def why_not(spec: AppSpec) -> str:
    """Why two releases of `spec` cannot run at the same time; empty when they can. Pure."""
    health = spec.health
    asked = health.port if health is not None and health.type != "custom" else 0
    if "PORT" in spec.env:
        return "its env says PORT, which only one release can hold; leave it out"
    if spec.expose is None:
        return f"its health check asks port {asked}, which only one release can hold; expose it" if asked else ""
    if asked and asked != spec.expose.port:
        return f"its health check asks port {asked}, which only one release can hold; ask {spec.expose.port}"
    return ""


def fell_back(strategy: str, by: str, why: str) -> str:
    """What is said of an app that was upgraded in another way than its strategy says. Pure."""
    ways = {
        "restart": "restarted",
        "blue_green": "upgraded beside itself",
        "hot_reload": "hot reloaded",
        "config_change": "reconfigured as it ran",
    }
    return f"{ways[by]}, since it could not be {ways[strategy]}: {why}"
