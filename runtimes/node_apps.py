"""The apps of one node as the process runtime has them: manifests, supervisor, observation, and one writer per app.

Every part of the process runtime (`starting`, `switching`, `adoption`) is made with it and works on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from runtimes import older_homes, strays
from runtimes.applied import Applied, AppliedStore
from runtimes.base import RuntimeContext, RuntimeFailure, Superseded
from runtimes.files import LockTimeoutError, is_app_name, locked
from runtimes.front import Front, RouteRefusedError
from runtimes.front_admin import FrontError
from runtimes.front_config import Route
from runtimes.guests import Guests
from runtimes.observe import Observer
from runtimes.private_ports import NoPrivatePortError
from runtimes.sides import Side
from runtimes.supervisor_conf import SupervisorConfigError
from runtimes.supervisor_rpc import ProcessInfo, SupervisorError
from runtimes.supervisord import Supervisor, WantedApp
from specs.appstate import AppState
from specs.model import AppSpec

_LOCK_LIMIT = 60.0


class NodeApps:
    """What there is of apps below `context.home`, and the supervisor that runs them."""

    def __init__(self, context: RuntimeContext) -> None:
        self.context = context
        self.home = context.home
        self.store = AppliedStore(self.home)
        older_homes.take_over(self.home, self.store)
        self.supervisor = Supervisor(self.home, apps=self._wanted)
        self.observer = Observer(self.home, self.store, self.supervisor)
        self.front = Front(self.home, self.supervisor)
        self.guests = Guests(self.home, self.store, self.supervisor)

    def applied(self, name: str) -> Applied | None:
        """What is applied of `name`; None when nothing is, or when that is no app's name."""
        return self.store.get(name) if is_app_name(name) else None

    def require(self, name: str, step: str) -> Applied:
        """What is applied of `name`. Raises RuntimeFailure (reason NotDeployed) when nothing is."""
        applied = self.applied(name)
        if applied is None:
            raise RuntimeFailure(name, step, "it is not deployed on this node", reason="NotDeployed")
        return applied

    def processes(self, applied: Applied) -> dict[str, ProcessInfo]:
        """The processes of the app as the supervisor sees them."""
        return self.supervisor.group(applied.name, applied.processes, applied.side)

    def damaged(self, applied: Applied) -> bool:
        """Whether the app's release must be built anew before anything can be started from it."""
        if applied.venv and not (Path(applied.release) / "venv" / "bin" / "python").exists():
            return True
        return bool(self.observer.integrity.damage(applied)) and bool(self.observer.integrity.look(applied))

    def own_pids(self, *names: str, side: Side | None = None) -> set[int]:
        """Every living process of the apps `names`, or of one generation of them."""
        return {process.pid for name in names for process in strays.find(self.home, name, side)}

    def route(self, spec: AppSpec) -> Route | None:
        """What the front is to lead to the app of `spec`."""
        return Route(spec.expose.port, spec.expose.host) if spec.expose is not None else None

    def tell_of_guests(self) -> None:
        """Tell, once, of guests that were started anew because one of them could not be ended alone."""
        note = self.guests.restarted()
        if note is not None:
            name = str(note["guest"]).partition("@")[0]
            applied = self.applied(name)
            self.context.tell("guests.restart", AppSpec(name, applied.version if applied is not None else ""), note)

    def state(self, name: str, processes: Mapping[str, ProcessInfo] | None = None) -> AppState:
        """The app as it is observed, just after it was changed; with `processes` of it that were seen just now."""
        state = self.observer.one(name, processes)
        if state is None:
            raise RuntimeFailure(name, "start", "its manifest was removed while it was being changed")
        return state

    @contextlib.contextmanager
    def changing(self, name: str, step: str, *others: str) -> Iterator[None]:
        """Be the only one on this node who changes `name`, and `others` with it.

        What the supervisor could not do is said as a failure of `name` at `step`. Locks are taken in the order of the
        names, so that two who change the same apps cannot wait for each other.
        """
        names = sorted({name, *others})
        for one in names:
            if not is_app_name(one):
                raise RuntimeFailure(name, step, f"{one!r} is not the name of an app", reason="BadName")
        folder = self.home / "locks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as held:
            try:
                for one in names:
                    held.enter_context(locked(folder / one, timeout=_LOCK_LIMIT, give_up=self._give_way))
            except LockTimeoutError:
                raise RuntimeFailure(name, step, "another process is changing it", reason="Busy") from None
            try:
                yield
            except (SupervisorError, SupervisorConfigError, FrontError, RouteRefusedError, NoPrivatePortError) as error:
                raise RuntimeFailure(name, step, error.message, reason=error.reason, hint=error.hint) from error

    def _give_way(self) -> None:
        if self.context.cancelled():
            raise Superseded("a newer desired state waits")

    def _wanted(self) -> Mapping[str, WantedApp]:
        """For a new supervisor: every app there is, and which of them are to be started."""
        return {
            name: WantedApp(tuple(applied.processes), applied.phase in {"starting", "running"}, applied.side)
            for name, applied in self.store.all().items()
            if applied.processes
        }
