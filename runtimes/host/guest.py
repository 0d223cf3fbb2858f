"""One hosted app in a process: what it really runs, and what the control socket may have done to it.

Every change is made by one thread at a time. A suspension has a time limit, and may be bound to the connection that
asked for it: whoever suspends and dies leaves an app that serves again. A reload that goes on when the limit is over is
not cut in two: requests go on as soon as it has ended, one way or the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from . import environ, hooks
from .asgi import AsgiGate
from .codefolder import CodeFolder
from .door import HOLD_SECONDS, QUEUE, Door
from .failure import Refused, told
from .plan import Plan, make_plan
from .reloader import Reload
from .target import kind_of, lookup
from .wsgi import WsgiGate

Gate = AsgiGate | WsgiGate
LEASE_SECONDS = 30.0
DRAIN_SECONDS = 5.0


@dataclass
class Identity:
    """What the guest runs: it is what `status` tells, and so what Celeriac believes."""

    app: str
    version: str
    digest: str
    revision: str
    process: str


class Guest:
    """A hosted app. `gate` is what the server calls."""

    def __init__(
        self,
        target: str,
        gate: Gate,
        door: Door,
        code: CodeFolder,
        identity: Identity,
        env_file: Path,
        *,
        prefix: str = "",
        variables: MutableMapping[str, str] = os.environ,
        end: Callable[[], None] | None = None,
    ) -> None:
        """`prefix` is before the names of its own modules, `variables` is its environment, `end` has it end: all of it
        as of a process of its own where nothing else is said.
        """
        self.target = target
        self._prefix = prefix
        self._variables = variables
        self._end = end or _end_process
        self.gate = gate
        self.door = door
        self.server = ""
        self.identity = identity
        self._code = code
        self._env_file = env_file
        self._env = environ.read_env(env_file)
        self._changing = threading.RLock()
        self._lease = 0
        self._timer = threading.Timer(0, self._lapse, [0])  # never started: there is no suspension yet
        self._plan: Plan | None = None
        self._upgrades = 0

    # Commands: each takes the fields of the message, and returns those of the answer

    def status(self) -> dict[str, Any]:
        """What runs, and who is inside. Waits for nothing."""
        counts = self.door.counts()
        return {
            "app": self.identity.app,
            "process": self.identity.process,
            "target": self.target,
            "kind": self.gate.kind,
            "server": self.server,
            "pid": os.getpid(),
            "version": self.identity.version,
            "revision": self.identity.revision,
            "digest": self.identity.digest,
            "release": str(self._code.release),
            "suspended": counts.shut,
            "in_flight": counts.in_flight,
            "held": counts.held,
            "long_lived": counts.long_lived,
            "upgrades": self._upgrades,
            "config_change": self._config_change() is not None,
        }

    def suspend(
        self,
        *,
        seconds: float = LEASE_SECONDS,
        drain: float = DRAIN_SECONDS,
        queue: int = QUEUE,
        hold: float = HOLD_SECONDS,
        release: str = "",
        distribution: str = "",
    ) -> dict[str, Any]:
        """Hold new requests, for `seconds` at most, and wait until those inside have ended.

        With `release`, what its upgrade will reload is found first, while requests are served. Refused, and open,
        when requests are still inside after `drain` seconds.
        """
        with self._changing:
            if release:
                self._prepare(Path(release), distribution)
            self._lease += 1
            lease = self._lease
            self.door.shut(queue=queue, hold_seconds=hold)
            self._timer.cancel()
            self._timer = threading.Timer(seconds, self._lapse, [lease])
            self._timer.daemon = True
            self._timer.start()
            inside = self.door.wait_empty(drain)
            if inside:
                self.resume()
                raise Refused("InFlight", f"{inside} requests had not ended after {drain:g} s")
            return {"lease": lease}

    def resume(self) -> dict[str, Any]:
        """Let requests go on. Fine when they do."""
        with self._changing:
            self._lease += 1
            self._timer.cancel()
            self._plan = None
            self.door.open()
        return {}

    def release_lease(self, lease: int) -> None:
        """Resume if that suspension is still the one in force: who asked for it is gone."""
        self._lapse(lease)

    def upgrade(self, *, release: str, version: str, digest: str, revision: str = "", distribution: str = "") -> Any:
        """Run the code of `release` from now on; the app must be suspended. Refused, and as before, when it cannot."""
        with self._changing:
            self._require_suspended()
            if self._plan is None or self._plan.release != Path(release):
                self._prepare(Path(release), distribution)
            identity = Identity(self.identity.app, version, digest, revision, self.identity.process)
            return self._on_gate(lambda: self._upgrade(self._plan or Plan(Path(release)), identity))

    def reconfigure(self, *, digest: str, signal_name: str = "") -> Any:
        """Take the environment file over: by `config_change`, else, where it is given, by a signal to this process."""
        with self._changing:
            env = self._read_env()
            if self._config_change() is None and not signal_name:
                raise Refused("NoHook", f"{self.target} has no config_change(changed, new, removed) beside it")
            return self._on_gate(lambda: self._reconfigure(env, digest, signal_name))

    def stop(self) -> None:
        """End the process as the supervisor would. Who is held is let in first, to be answered while it ends."""
        self.let_all_in()
        self._end()

    def let_all_in(self) -> dict[str, Any]:
        """Hold nobody any more, whoever asked for it."""
        self.door.open()
        return {}

    # Inside

    def _prepare(self, release: Path, distribution: str) -> None:
        if not release.is_dir():
            raise Refused("NoRelease", f"there is no release {release.name}")
        try:
            plan = make_plan(self._code, release, distribution, self._module, self._prefix)
        except (OSError, ValueError, SyntaxError) as error:
            raise Refused("NotPrepared", self._told(error)) from error
        if plan.unreached:
            names = ", ".join(plan.unreached[:5]) + (" and more" if len(plan.unreached) > 5 else "")
            raise Refused("NotReached", f"{names} changed, and no import leads there from {self.target}")
        self._plan = plan

    async def _upgrade(self, plan: Plan, identity: Identity) -> dict[str, Any]:
        reload = Reload(plan, self._code)
        process = environ.ProcessEnv(self._variables)
        env, old = self._read_env(), self.identity
        change = environ.difference(self._env, env)
        try:
            self._stamp(process, identity, plan.release)
            process.apply(change)
            reload.load()
            await hooks.call_code_changes(hooks.code_changes(reload.modules()), old.version, identity.version)
            if change:
                await self._call_config_change(change)
            following = await self._following(self._lookup())
        except BaseException as error:
            reload.undo()
            process.undo()
            if isinstance(error, Refused):
                raise
            raise Refused("ReloadFailed", self._told(error)) from error
        loaded, purged = [module.__name__ for module in reload.modules()], reload.purged()
        following()
        reload.commit()
        self.identity = identity
        self._env = env
        self._upgrades += 1
        return {
            "changed": list(plan.changed),
            "loaded": loaded,
            "purged": purged,
            "moved": reload.moved.count,
            "left": reload.moved.left,
        }

    async def _following(self, app: Any) -> Callable[[], None]:
        """What puts the callable `app` in force, once its own start-up is done."""
        if kind_of(app) != self.gate.kind:
            raise Refused("OtherKind", f"{self.target} was {self.gate.kind}, and is {kind_of(app)} now")
        if isinstance(self.gate, AsgiGate):
            gate, generation = self.gate, await self.gate.next(app)
            return lambda: gate.go_on_with(generation)
        wsgi = self.gate
        return lambda: setattr(wsgi, "app", app)

    async def _reconfigure(self, env: dict[str, str], digest: str, signal_name: str) -> dict[str, Any]:
        process = environ.ProcessEnv(self._variables)
        change = environ.difference(self._env, env)
        try:
            process.apply(change)
            following = None
            if self._config_change() is not None:
                await self._call_config_change(change)
                following = await self._following(self._lookup())  # the hook may have made it anew
            elif signal_name:
                os.kill(os.getpid(), signal.Signals[signal_name])
            process.set("CELERIAC_DIGEST", digest)
        except BaseException as error:
            process.undo()
            if isinstance(error, Refused):
                raise
            raise Refused("ConfigChangeFailed", self._told(error)) from error
        if following is not None:
            following()
        self._env = env
        self.identity.digest = digest
        return {"changed": sorted(change.changed), "new": sorted(change.new), "removed": sorted(change.removed)}

    async def _call_config_change(self, change: environ.EnvChange) -> None:
        fixed = environ.at_start_only(change.names)
        if fixed:
            raise Refused("StartOnly", f"{', '.join(fixed)} is heeded at the start of a process only")
        hook = self._config_change()
        if hook is None:
            raise Refused("NoHook", f"env changed as well, and {self.target} has no config_change beside it")
        await hooks.call_config_change(hook, change.changed, change.new, change.removed)

    def _read_env(self) -> dict[str, str]:
        try:
            return environ.read_env(self._env_file)
        except (OSError, ValueError) as error:
            raise Refused("NoEnv", f"the environment file cannot be read: {type(error).__name__}") from error

    def _stamp(self, process: environ.ProcessEnv, identity: Identity, release: Path) -> None:
        """What Celeriac says in the environment of the new release, which is what it would say at a start."""
        before = str(self._code.release)
        for name in ("PATH", "VIRTUAL_ENV"):
            value = self._variables.get(name)
            if value is not None:
                process.set(name, value.replace(f"{before}/", f"{release}/"))
        for name, value in (
            ("CELERIAC_VERSION", identity.version),
            ("CELERIAC_DIGEST", identity.digest),
            ("CELERIAC_REVISION", identity.revision),
            ("CELERIAC_RELEASE", str(release)),
        ):
            process.set(name, value)

    def _config_change(self) -> Callable[..., Any] | None:
        module = sys.modules.get(self._module)
        return hooks.config_change(module) if isinstance(module, ModuleType) else None

    def _told(self, error: BaseException) -> str:
        values = set(self._env.values())
        with contextlib.suppress(Refused):
            values |= set(self._read_env().values())
        return told(error, values)

    def _lookup(self) -> Any:
        return lookup(f"{self._prefix}{self.target}")

    @property
    def _module(self) -> str:
        """The module of the callable, as Python knows it."""
        return f"{self._prefix}{self.target.partition(':')[0]}"

    def _require_suspended(self) -> None:
        if not self.door.counts().shut:
            raise Refused("NotSuspended", "suspend it first")

    def _lapse(self, lease: int) -> None:
        with self._changing:
            if lease == self._lease:
                self.resume()

    def _on_gate(self, make: Callable[[], Coroutine[Any, Any, dict[str, Any]]]) -> dict[str, Any]:
        """Run a coroutine where the app runs: in its event loop, so that none of its tasks sees half a change."""
        if isinstance(self.gate, WsgiGate):
            return asyncio.run(make())
        if self.gate.loop is None:
            raise Refused("NotStarted", "its server has not begun to serve")
        return asyncio.run_coroutine_threadsafe(make(), self.gate.loop).result()


def _end_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
