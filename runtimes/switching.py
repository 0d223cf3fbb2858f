"""Builds what is to run and puts it in place; the first half of every deploy and upgrade.

Nothing is started here: `runtimes.starting` does that. A build leaves the running app alone, a switch is made while
nothing of the app runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from celeriac.errors import CeleriacError
from celeriac.process import CommandCancelledError
from runtimes import ports, releases
from runtimes.applied import ENV, Applied
from runtimes.base import RuntimeFailure, Superseded
from runtimes.node_apps import NodeApps
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
            known = applied is not None and applied.venv and Path(applied.release) == release
            if known and not (release / "venv" / "bin" / "python").exists():
                releases.discard(release)
                release = context.build(spec)
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

    def switch(
        self, spec: AppSpec, release: Path, processes: Mapping[str, tuple[str, ...]], old: Applied | None
    ) -> Applied:
        """Put manifest, environment, link and group in place. Nothing of the app runs."""
        node = self._node
        folder = node.store.folder(spec.name)
        previous = None
        if old is not None:
            previous = old.previous if old.release == str(release) else old.as_previous()
        applied = Applied(
            name=spec.name,
            version=spec.version,
            digest=str(digest(spec)),
            release=str(release),
            processes={name: tuple(argv) for name, argv in processes.items()},
            node=node.context.node,
            home_id=node.supervisor.home_id,
            env_file=str(folder / ENV),
            env_sha256="",
            supervisor_pid=str(node.supervisor.pid_file),
            isolation=spec.isolation,
            reload_signal=spec.run.reload_signal,
            port=_port(spec),
            memory=spec.limits.memory,
            cpus=spec.limits.cpus,
            venv=(release / "venv" / "bin" / "python").exists(),
            message=_strategy_message(spec) if old is not None else "",
            previous=previous,
        )
        applied = node.store.put(described(applied, spec))
        applied = replace(applied, env_sha256=node.store.put_env(spec.name, spec.env))
        (folder / "data").mkdir(mode=0o700, exist_ok=True)
        releases.switch_current(folder, release)
        node.supervisor.put(spec.name, applied.processes)
        return applied

    def refuse_taken_ports(self, spec: AppSpec, *others: str, wait: bool) -> None:
        """Fail before anything is started on a port that somebody else holds: it would answer in the app's name.

        With `wait` nothing of the app runs any more; without it, the app itself and `others`, which make room for
        it, may hold the port.
        """
        for port in sorted(_ports(spec)):
            deadline = time.monotonic() + (1.0 if wait else 0.0)
            while ports.is_open(port):
                own = () if wait else self._node.own_pids(spec.name, *others)
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


def described(applied: Applied, spec: AppSpec) -> Applied:
    """`applied` with all that changes without a restart taken from `spec`."""
    return replace(
        applied,
        digest=str(digest(spec)),
        revision=spec.revision,
        depends_on=spec.depends_on,
        strategy=spec.upgrade.strategy,
        description=spec.description,
        icon=spec.icon,
        health=spec.health,
        app=spec.run.app,
    )


def _strategy_message(spec: AppSpec) -> str:
    strategy = spec.upgrade.strategy
    return "" if strategy == "restart" else f"strategy {strategy} is not available yet: restarted"


def _port(spec: AppSpec) -> int:
    """The app's $PORT, unless its own env says another."""
    if spec.expose is not None:
        return spec.expose.port
    return spec.health.port if spec.health is not None and spec.health.type != "custom" else 0


def _ports(spec: AppSpec) -> Iterable[int]:
    """The ports that the app is known to listen on."""
    found = {_port(spec)}
    if spec.health is not None and spec.health.type != "custom":
        found.add(spec.health.port)
    return found - {0}


def asked_port(spec: AppSpec) -> int:
    """The port that the spec says its processes are to serve on; 0 where it says none."""
    return _port(spec)
