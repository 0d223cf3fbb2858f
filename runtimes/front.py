"""The front of a node: one Caddy that keeps the public ports of all exposed apps while releases change behind it.

It is a program of the node's own supervisor, `@front`: nobody's child, started when the first app is exposed and gone
with the last. What it leads where is claimed app by app:

    <home>/front/routes/<app>.json   the ports and host names that an app has; whoever comes later is refused
    <home>/front/caddy.json          the configuration that was taken last, which a restarted front begins with
    <home>/supervisor/front.sock     its control socket, mode 0600

Its configuration changes only when these claims do; a switch between releases is none of its business
(`runtimes.front_config`). Changes are made under `<home>/front/lock`. Killed at any line:

    a claim is written         the front does not know it yet: the next claim, or `ensure`, tells it
    the front was told         the file still says what was before: it is told once more, the same
    a claim is removed         likewise
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from celeriac.errors import CeleriacError
from runtimes import front_admin, ports
from runtimes.files import LockTimeoutError, is_app_name, locked, write_atomic
from runtimes.front_admin import FrontError
from runtimes.front_config import Route, conflict, front_config, ports_of
from runtimes.supervisor_conf import front_conf
from runtimes.supervisor_rpc import SupervisorGoneError
from runtimes.supervisord import Supervisor

NAME = "@front"
_PROCESS = "caddy"
_LOCK_LIMIT = 60.0
_START_LIMIT = 15.0
_routes_decoder = msgspec.json.Decoder(tuple[Route, ...])


class RouteRefusedError(CeleriacError):
    """An app cannot have the port, or the host name, that it is to be exposed by."""

    reason = "PortTaken"


class Front:
    """The front of `home`, under its `supervisor`."""

    def __init__(self, home: Path, supervisor: Supervisor) -> None:
        self._home = home
        self._supervisor = supervisor
        self.folder = home / "front"
        self._routes = self.folder / "routes"
        self._conf = self.folder / "caddy.json"

    # What it leads where

    def claims(self) -> dict[str, tuple[Route, ...]]:
        """The routes of every app that has any."""
        found = {}
        for path in sorted(self._routes.glob("*.json")) if self._routes.is_dir() else ():
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                found[path.stem] = _routes_decoder.decode(path.read_bytes())
        return found

    def claim(self, app: str, wanted: Route, instead_of: Iterable[str] = ()) -> None:
        """Have `wanted` lead to `app`, beside what leads there already, until `settle`. Cheap when it does.

        The apps `instead_of`, which make room for this one, lose it. Raises RouteRefusedError, FrontError.
        """
        claims = self.claims()
        if wanted in claims.get(app, ()) and self.running() and self._conf_is(claims):
            return
        with self._lock():
            before = self.claims()
            after = self._with(before, app, wanted, instead_of)
            try:
                self._tell(self._possible(after))
            except FrontError:
                if not any(before.values()):
                    self._end()
                raise
            for name in (app, *instead_of):
                self._put(name, after.get(name, ()))

    def check(self, app: str, wanted: Route, instead_of: Iterable[str] = ()) -> None:
        """Raise what `claim` would, and change nothing."""
        self._with(self.claims(), app, wanted, instead_of)

    def _with(
        self, claims: Mapping[str, tuple[Route, ...]], app: str, wanted: Route, instead_of: Iterable[str]
    ) -> dict[str, tuple[Route, ...]]:
        """The claims when `wanted` leads to `app`. Raises RouteRefusedError."""
        leaving = set(instead_of) - {app}
        after = {
            name: tuple(one for one in routes if name not in leaving or not conflict(app, wanted, {name: (one,)}))
            for name, routes in claims.items()
        }
        why = conflict(app, wanted, after)
        if why:
            raise RouteRefusedError(why, reason="RouteTaken", hint="give one of the two another port or host name")
        after[app] = tuple(sorted({*after.get(app, ()), wanted}))
        self._refuse_taken(wanted)
        return after

    def settle(self, app: str, wanted: Route | None) -> None:
        """Have `wanted`, and nothing else, lead to `app`; None: nothing. Cheap when that is so."""
        routes = (wanted,) if wanted else ()
        if self.claims().get(app, ()) == routes:
            return
        with self._lock():
            after = {**self.claims(), app: routes}
            self._put(app, routes)
            self._tell(self._possible(after))

    def ensure(self) -> None:
        """Have the front run and know all claims. A port that somebody else took meanwhile is left out."""
        claims = self.claims()
        if any(claims.values()):
            if self.running() and self._conf_is(claims):
                return
        elif not self._supervisor.has_conf(NAME):
            return
        with self._lock():
            self._tell(self._possible(self.claims()))

    # The program

    def running(self) -> bool:
        """Whether it answers."""
        return front_admin.answers(self._socket())

    def pids(self) -> set[int]:
        """The front's process."""
        try:
            infos = self._supervisor.group(NAME, (_PROCESS,))
        except SupervisorGoneError:
            return set()
        return {info.pid for info in infos.values() if info.pid}

    def _tell(self, claims: Mapping[str, tuple[Route, ...]]) -> None:
        """Have the front do exactly this. The lock is held."""
        if not any(claims.values()):
            self._end()
            return
        content = self._content(claims)
        if not self.running():
            self._start()
        if self._conf_is(claims):
            return
        front_admin.load(self._socket(), content)
        write_atomic(self._conf, content)

    def _start(self) -> None:
        """Start it with what it knew; where that is not possible any more, with nothing."""
        known = self._conf.read_bytes() if self._conf.is_file() else b""
        for conf in dict.fromkeys((known or self._content({}), self._content({}))):
            write_atomic(self._conf, conf)
            argv = [*front_admin.command(), "--config", str(self._conf)]
            section = front_conf(self._home, NAME, _PROCESS, argv, home_id=self._supervisor.home_id)
            (self._home / "logs").mkdir(mode=0o700, exist_ok=True)
            self._supervisor.put_program(NAME, _PROCESS, section)
            self._supervisor.start(NAME, (_PROCESS,))
            if self._wait_started():
                return
            self._supervisor.stop(NAME)
        raise FrontError("the front (Caddy) does not start", hint=f"see {self._log()}")

    def _wait_started(self) -> bool:
        deadline = time.monotonic() + _START_LIMIT
        while not self.running():
            state = self._supervisor.group(NAME, (_PROCESS,)).get(_PROCESS)
            if state is None or state.state in {"BACKOFF", "EXITED", "FATAL"} or time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _end(self) -> None:
        """No app is exposed any more."""
        with contextlib.suppress(SupervisorGoneError):
            self._supervisor.stop(NAME)
        self._supervisor.remove(NAME)
        self._conf.unlink(missing_ok=True)

    # Inside

    def _content(self, claims: Mapping[str, tuple[Route, ...]]) -> bytes:
        config = front_config(claims, admin=str(self._socket()), storage=str(self.folder / "data"))
        return msgspec.json.format(msgspec.json.encode(config), indent=1)

    def _conf_is(self, claims: Mapping[str, tuple[Route, ...]]) -> bool:
        try:
            return self._conf.read_bytes() == self._content(claims)
        except OSError:
            return False

    def _refuse_taken(self, wanted: Route) -> None:
        """Raise RouteRefusedError where somebody else listens on a port that is needed.

        Caddy shares its ports with whoever else allows that, so the kernel would not refuse another front.
        """
        own = self.pids()
        for port in sorted(wanted.ports):
            if ports.is_open(port) and not (ports.listeners(port) or set()) & own:
                raise RouteRefusedError(
                    f"port {port} is already in use by {ports.holder(port)}",
                    hint=f"stop it, or expose another port than {port}",
                )

    def _possible(self, claims: Mapping[str, tuple[Route, ...]]) -> dict[str, tuple[Route, ...]]:
        """Those of the claims whose ports nobody else has, so that one lost port holds up no other route."""
        own = self._ports() if self.running() else frozenset()

        def free(route: Route) -> bool:
            if route.ports <= own:
                return True
            with contextlib.suppress(RouteRefusedError):
                self._refuse_taken(route)
                return True
            return False

        return {app: tuple(route for route in routes if free(route)) for app, routes in claims.items()}

    def _ports(self) -> frozenset[int]:
        """The ports in the configuration that was taken last."""
        try:
            return ports_of(self._conf.read_bytes())
        except OSError:
            return frozenset()

    def _put(self, app: str, routes: tuple[Route, ...]) -> None:
        assert is_app_name(app)  # noqa: S101 - a part of a path
        path = self._routes / f"{app}.json"
        if routes:
            self._routes.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(path, msgspec.json.encode(routes))
        else:
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with locked(self.folder / "lock", timeout=_LOCK_LIMIT):
                yield
        except LockTimeoutError:
            raise FrontError("another process has been changing the front for too long", hint="try again") from None

    def _socket(self) -> Path:
        """Beside the supervisor's own, which has a short path."""
        return self._supervisor.socket.with_name("front.sock")

    def _log(self) -> Path:
        return self._home / "logs" / f"{NAME}.log"
