"""Builds what is to run and puts it in place; the first half of every deploy and upgrade.

Nothing is started here: `runtimes.starting` does that. A build leaves the running app alone, a switch is made while
nothing of the app runs; a generation beside it is prepared while it does (`runtimes.blue_green`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from celeriac.errors import CeleriacError
from celeriac.process import CommandCancelledError
from runtimes import logs, ports, private_ports, releases
from runtimes.applied import ENV, MANIFEST, Applied
from runtimes.base import RuntimeFailure, Superseded
from runtimes.node_apps import NodeApps
from runtimes.sides import SIDES, Side
from specs.digest import digest
from specs.model import AppSpec


class Switcher:
    """Builds releases and puts them in place. The caller holds the lock of the app."""

    def __init__(self, node: NodeApps) -> None:
        self._node = node

    def build(self, spec: AppSpec, applied: Applied | None) -> tuple[Path, Mapping[str, tuple[str, ...]]]:
        """The release of `spec` and its commands. The running app is not touched."""
        context = self._node.context
        context.report("building")
        try:
            release = context.build(spec)
            if applied is not None and Path(applied.release) == release and self._node.damaged(applied):
                with releases.replaced(release):
                    release = context.build(spec)
            self._node.guests.refuse(spec, release)
            return release, context.resolve(spec, release)
        except (RuntimeFailure, Superseded):
            raise
        except CommandCancelledError as error:
            raise Superseded(f"{spec.name}: its build was given up, a newer desired state waits") from error
        except CeleriacError as error:
            output = tuple(getattr(error, "output", ()) or getattr(error, "tail", ()))
            raise RuntimeFailure(
                spec.name, "build", error.message, output=output, reason=error.reason, hint=error.hint
            ) from error

    def refuse_taken_route(self, spec: AppSpec, *others: str) -> bool:
        """Have the front lead to the app, before anything of it is touched. `others` make room for it.

        False where that has to wait until the app, which was not exposed before, leaves the port.
        """
        route = self._node.route(spec)
        if route is None:
            return True
        if spec.env.get("PORT") == str(route.port):
            raise RuntimeFailure(
                spec.name,
                "start",
                f"its env says PORT {route.port}, but that port is the front's",
                reason="PortTaken",
                hint="leave PORT out of env: the app gets a private one",
            )
        mine = self._node.own_pids(spec.name, *others) if ports.is_open(route.port) else set()
        if mine and (ports.listeners(route.port) or set()) & mine:
            return False
        self._node.front.claim(spec.name, route, others)
        return True

    @contextlib.contextmanager
    def switched(
        self,
        spec: AppSpec,
        release: Path,
        processes: Mapping[str, tuple[str, ...]],
        old: Applied | None,
        *,
        known: bool = False,
    ) -> Iterator[Applied]:
        """Put manifest, environment, link and group in place. Nothing of the app runs, or another generation does.

        `known` says that its group is in place already. Its private port, if it has one, is kept for it until the end
        of the `with` block, by when it must hold it.
        """
        side = old.side if old is not None else SIDES[0]
        with self._placed(spec, release, processes, old, side) as applied:
            if not known:
                self._node.supervisor.put(spec.name, applied.processes, side, stopped=True)
            folder = self._node.store.folder(spec.name)
            releases.switch_current(folder, release)
            logs.point(self._node.home, spec.name, applied.side, applied.processes)
            yield applied

    @contextlib.contextmanager
    def prepared(
        self, spec: AppSpec, release: Path, processes: Mapping[str, tuple[str, ...]], old: Applied | None, side: Side
    ) -> Iterator[Applied]:
        """Put manifest, environment and group of one generation in place, as `switched`, but not in force."""
        with self._placed(spec, release, processes, old, side) as applied:
            self._node.supervisor.put(spec.name, applied.processes, side)
            yield applied

    @contextlib.contextmanager
    def _placed(
        self, spec: AppSpec, release: Path, processes: Mapping[str, tuple[str, ...]], old: Applied | None, side: Side
    ) -> Iterator[Applied]:
        """Put manifest and environment of one generation in place."""
        node = self._node
        folder = node.store.folder(spec.name)
        with contextlib.ExitStack() as held:
            port, lock = _port(spec), ""
            if not port and spec.expose is not None:
                lease = held.enter_context(private_ports.lease(node.store.side_folder(spec.name, side) / MANIFEST))
                port, lock = lease.port, lease.lock
            applied = _manifest(node, spec, release, processes, old)
            applied = replace(applied, side=side, port=port, port_lock=lock)
            applied = replace(applied, env_file=str(folder / side / ENV))
            applied = node.store.put(described(applied, spec))
            applied = replace(applied, env_sha256=node.store.put_env(spec.name, spec.env, side))
            (folder / "data").mkdir(mode=0o700, exist_ok=True)
            yield applied

    def refuse_taken_ports(self, spec: AppSpec, *others: str, wait: bool) -> None:
        """Fail before anything is started on a port that somebody else holds: it would answer in the app's name.

        With `wait` nothing of the app runs any more; without it, the app itself and `others`, which make room for
        it, may hold the port.
        """
        front = self._node.front
        for port in sorted(_ports(spec)):
            deadline = time.monotonic() + (1.0 if wait else 0.0)
            while ports.is_open(port):
                own = set() if wait else self._node.own_pids(spec.name, *others)
                if not wait and any(route.port == port for route in front.claims().get(spec.name, ())):
                    own |= front.pids()  # it leaves the port when the app is not exposed any more
                taken = ports.holder(port) if wait else ports.answered_by_other(port, own)
                if not taken:
                    break
                if time.monotonic() >= deadline:
                    raise RuntimeFailure(
                        spec.name,
                        "start",
                        f"port {port} is already in use by {taken}",
                        reason="PortTaken",
                        hint="stop it, or give the app another port",
                    )
                time.sleep(0.05)


def _manifest(
    node: NodeApps, spec: AppSpec, release: Path, processes: Mapping[str, tuple[str, ...]], old: Applied | None
) -> Applied:
    previous = None
    if old is not None:
        previous = old.previous if old.release == str(release) else old.as_previous()
    return Applied(
        name=spec.name,
        version=spec.version,
        digest=str(digest(spec)),
        release=str(release),
        processes={name: tuple(argv) for name, argv in processes.items()},
        node=node.context.node,
        home_id=node.supervisor.home_id,
        env_file="",
        env_sha256="",
        supervisor_pid=str(node.supervisor.pid_file),
        isolation=spec.isolation,
        reload_signal=spec.run.reload_signal,
        memory=spec.limits.memory,
        cpus=spec.limits.cpus,
        cgroups=node.context.cgroups,
        venv=(release / "venv" / "bin" / "python").exists(),
        previous=previous,
        expose=spec.expose,
    )


def described(applied: Applied, spec: AppSpec) -> Applied:
    """`applied` with all that changes without a restart taken from `spec`."""
    return replace(
        applied,
        digest=str(digest(spec)),
        revision=spec.revision or applied.revision,  # a roll-back does not know it
        depends_on=spec.depends_on,
        strategy=spec.upgrade.strategy,
        description=spec.description,
        icon=spec.icon,
        health=spec.health,
        app=spec.run.app,
    )


def _port(spec: AppSpec) -> int:
    """The app's $PORT where its spec says it; 0 where it is to get a private one, or none."""
    if spec.expose is not None:
        own = spec.env.get("PORT", "")
        return int(own) if own.isdecimal() and 0 < int(own) < 65536 else 0
    return spec.health.port if spec.health is not None and spec.health.type != "custom" else 0


def _ports(spec: AppSpec) -> Iterable[int]:
    """The ports that the app is known to listen on, whatever release of it runs."""
    found = {_port(spec)}
    if spec.health is not None and spec.health.type != "custom":
        found.add(spec.health.port)
    return found - {0, spec.expose.port if spec.expose is not None else 0}


def asked_port(spec: AppSpec) -> int:
    """The port that the spec says its processes are to serve on; 0 where it says none."""
    return _port(spec)
