"""The default runtime: each app in a release and an environment of its own, run under the node's supervisor.

It puts things in an order in which a `kill -9` at any line leaves something that the next call, or nobody at
all, can go on from. What is on disk while the work goes on:

    build            nothing of the app has changed; the old one runs
    stop             the old manifest is in force, its processes are stopped: seen as stopped, deployed again
    switching        the new manifest is written, then environment, link and group: nothing may be started
    starting         all is in place; a start was asked for: a repeated deploy waits for it, a dead supervisor's
                     successor starts it
    running | failed what came of it

The launcher (`runtimes.launch`) reads manifest and environment at each start, so a crashed process comes back
with what is applied. One writer per app: a lock file per app, whoever else thinks to hold the lease.
An upgrade is strategy `restart`: build beside the running one, stop, switch, start, probe. The working folder of an
app is `<home>/apps/<app>/data`; it survives upgrades and removal.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from celeriac.errors import CeleriacError
from celeriac.process import CommandCancelledError
from runtimes import health, launch, logs, ports, releases, strays
from runtimes.applied import ENV, Applied, AppliedStore, now
from runtimes.base import RuntimeContext, RuntimeFailure, Superseded
from runtimes.files import LockTimeoutError, is_app_name, locked
from runtimes.health import ProbeResult
from runtimes.observe import HealthRecord, Observer, all_up, ended, identities, identity
from runtimes.supervisor_conf import STARTS_SECONDS, SupervisorConfigError
from runtimes.supervisor_rpc import ProcessInfo, SupervisorError, SupervisorGoneError
from runtimes.supervisord import Supervisor, WantedApp
from specs.appstate import AppState
from specs.digest import Digest, digest
from specs.model import AppSpec

_LOCK_LIMIT = 60.0
_OUTPUT_LINES = 20
_MESSAGE_LINES = 5


class ProcessRuntime:
    """Brings the apps of one node to their specs, as processes under its supervisor."""

    def __init__(self, context: RuntimeContext) -> None:
        self.context = context
        self.home = context.home
        self.store = AppliedStore(self.home)
        self.supervisor = Supervisor(self.home, apps=self._wanted)
        self.observer = Observer(self.home, self.store, self.supervisor)

    # The protocol

    def deploy(self, spec: AppSpec) -> AppState:
        """Have `spec` running and healthy. Nothing is restarted when it is already."""
        return self._bring(spec)

    def upgrade(self, spec: AppSpec, old_version: str) -> AppState:
        """Have `spec` running and healthy instead of `old_version`, which runs until the new one is built."""
        return self._bring(spec)

    def reconfigure(self, spec: AppSpec) -> AppState:
        """Have the app run with its new environment: by `run.reload_signal` where it is given, else by a restart.

        A process keeps the variables that it was started with: on the signal it reads CELERIAC_ENV_FILE again.
        """
        applied = self.applied(spec.name)
        wanted = digest(spec)
        if not spec.run.reload_signal or applied is None or applied.parts.release != wanted.release:
            return self._bring(spec)
        with self._changing(spec.name, "reconfigure"):
            self.supervisor.ensure_running()
            applied = self.applied(spec.name)
            if applied is not None and self._signal(spec, applied):
                return self._state(spec.name)
        return self._bring(spec)

    def remove(self, name: str) -> None:
        """Stop the app and forget it. Its releases, data and logs stay; see `sources.releases` for the pruning."""
        if not is_app_name(name):
            return
        applied = self.applied(name)
        if applied is None and not self.supervisor.has_conf(name) and not (self.home / "apps" / name / ENV).exists():
            return
        with self._changing(name, "remove"):
            if applied is not None:
                self.store.put(replace(applied, phase="removing"))
            self.supervisor.remove(name)
            folder = self.store.folder(name)
            releases.drop_current(folder)
            shutil.rmtree(folder / "run", ignore_errors=True)
            (folder / "health.json").unlink(missing_ok=True)
            self.store.drop(name)  # last: until here a repeated remove finds it

    def current_state(self) -> dict[str, AppState]:
        """Every app of this node as it is observed. Starts nothing, not even the supervisor."""
        return self.observer.all()

    # Beyond the protocol

    def record(self, spec: AppSpec) -> AppState:
        """Take over what needs no restart: description, icon, health, strategy and the like.

        Raises RuntimeFailure when `spec` would need one.
        """
        with self._changing(spec.name, "reconfigure"):
            applied = self.applied(spec.name)
            if applied is None or not applied.parts.runs_like(digest(spec)):
                raise RuntimeFailure(
                    spec.name, "reconfigure", "more than its description changed", reason="NotRecordOnly"
                )
            self.store.put(_described(applied, spec))
            return self._state(spec.name)

    def check(self, spec: AppSpec) -> ProbeResult:
        """Ask the app once whether it works, and remember it: what the periodic health check does."""
        applied = self.applied(spec.name)
        if applied is None:
            return ProbeResult(False, "not deployed")
        try:
            processes = self.supervisor.group(spec.name, applied.processes)
        except SupervisorGoneError:
            return ProbeResult(False, "the supervisor is not running")
        if not all_up(applied, processes):
            down = [name for name in applied.processes if name not in processes or not processes[name].up]
            return ProbeResult(False, f"{', '.join(down) or spec.name} does not run")
        result = self._probe(replace(applied, health=spec.health), None)
        known = self.observer.record(spec.name)
        same = known is not None and known.processes == identities(processes)
        failures = 0 if result.ok else (known.failures if known is not None and same else 0) + 1
        self.observer.put_record(
            spec.name, HealthRecord(identities(processes), failures, "" if result.ok else result.message)
        )
        return result

    def stop(self, name: str) -> None:
        """Stop the app and keep it stopped until it is deployed or restarted."""
        with self._changing(name, "stop"):
            applied = self._require(name, "stop")
            self.store.put(replace(applied, phase="stopped"))
            self.supervisor.stop(name)

    def restart(self, name: str) -> AppState:
        """Stop and start the app as it is applied; return when it is healthy."""
        with self._changing(name, "start"):
            self.supervisor.ensure_running()
            applied = self._require(name, "stop")
            self.context.report("stopping")
            self.supervisor.stop(name)
            return self._start(applied)

    def revive(self) -> None:
        """Have a supervisor; when the last one died, its strays are ended and its apps are started again, once."""
        self.supervisor.ensure_running()

    def applied(self, name: str) -> Applied | None:
        """What is applied of `name`: version, digest, release, previous release and how far it got."""
        return self.store.get(name) if is_app_name(name) else None

    def all_applied(self) -> dict[str, Applied]:
        """What is applied of every app."""
        return self.store.all()

    # Deploy and upgrade

    def _bring(self, spec: AppSpec) -> AppState:
        _refuse(spec)
        with self._changing(spec.name, "start"):
            self.supervisor.ensure_running()
            applied = self.applied(spec.name)
            if applied is not None and applied.parts.runs_like(digest(spec)) and self._goes_on(spec, applied):
                return self._state(spec.name)
            release, processes = self._build(spec, applied)
            self._refuse_taken_ports(spec, wait=False)
            self.context.report("stopping")
            self.supervisor.stop(spec.name)
            self._refuse_taken_ports(spec, wait=True)
            return self._start(self._switch(spec, release, processes, applied))

    def _goes_on(self, spec: AppSpec, applied: Applied) -> bool:
        """Whether the app already runs as it should; its files are put right on the way, without a restart."""
        processes = self.supervisor.group(spec.name, applied.processes)
        if not all_up(applied, processes) or applied.phase in {"switching", "removing", "stopped"}:
            return False
        for name, info in processes.items():
            stamp = Digest.parse(self.observer.stamped(spec.name, info))
            if not stamp.runs_like(applied.parts) and applied.reloaded.get(name) != identity(info):
                return False
        if applied.venv and not (Path(applied.release) / "venv" / "bin" / "python").exists():
            return False
        described = _described(applied, spec)
        self.context.report("probing")
        age = time.time() - max(info.started for info in processes.values())
        grace = spec.health.grace if spec.health else STARTS_SECONDS * 2
        if not self._wait(described, max(grace - age, 0.0)).ok:
            return False
        self.store.put_env(spec.name, spec.env)
        if releases.read_current(self.store.folder(spec.name)) != Path(applied.release):
            releases.switch_current(self.store.folder(spec.name), Path(applied.release))
        self._proved(replace(described, env_sha256=self.store.env_sha256(spec.name)))
        return True

    def _build(self, spec: AppSpec, applied: Applied | None) -> tuple[Path, Mapping[str, tuple[str, ...]]]:
        """The release of `spec` and its commands. The running app is not touched."""
        self.context.report("building")
        try:
            release = self.context.build(spec)
            known = applied is not None and applied.venv and Path(applied.release) == release
            if known and not (release / "venv" / "bin" / "python").exists():
                releases.discard(release)
                release = self.context.build(spec)
            return release, self.context.resolve(spec, release)
        except (RuntimeFailure, Superseded):
            raise
        except CommandCancelledError as error:
            raise Superseded(f"{spec.name}: its build was given up, a newer desired state waits") from error
        except CeleriacError as error:
            output = tuple(getattr(error, "output", ()) or getattr(error, "tail", ()))
            raise RuntimeFailure(
                spec.name, "build", error.message, output=output, reason=error.reason, hint=error.hint
            ) from error

    def _switch(
        self, spec: AppSpec, release: Path, processes: Mapping[str, tuple[str, ...]], old: Applied | None
    ) -> Applied:
        """Put manifest, environment, link and group in place. Nothing of the app runs."""
        folder = self.store.folder(spec.name)
        previous = None
        if old is not None:
            previous = old.previous if old.release == str(release) else old.as_previous()
        applied = Applied(
            name=spec.name,
            version=spec.version,
            digest=str(digest(spec)),
            release=str(release),
            processes={name: tuple(argv) for name, argv in processes.items()},
            node=self.context.node,
            home_id=self.supervisor.home_id,
            env_file=str(folder / ENV),
            env_sha256="",
            supervisor_pid=str(self.supervisor.pid_file),
            isolation=spec.isolation,
            reload_signal=spec.run.reload_signal,
            port=_port(spec),
            memory=spec.limits.memory,
            cpus=spec.limits.cpus,
            venv=(release / "venv" / "bin" / "python").exists(),
            message=_strategy_message(spec) if old is not None else "",
            previous=previous,
        )
        applied = self.store.put(_described(applied, spec))
        applied = replace(applied, env_sha256=self.store.put_env(spec.name, spec.env))
        (folder / "data").mkdir(mode=0o700, exist_ok=True)
        releases.switch_current(folder, release)
        self.supervisor.put(spec.name, applied.processes)
        return applied

    def _start(self, applied: Applied) -> AppState:
        """Start what is in place and wait until it is healthy. Raises RuntimeFailure with the last lines."""
        applied = self.store.put(replace(applied, phase="starting", reloaded={}))
        before = logs.positions(self.home, applied.name)
        self.context.report("starting")
        self.supervisor.put(applied.name, applied.processes)
        self.supervisor.start(applied.name, applied.processes)
        self.context.report("probing")
        crashes = _Crashes(lambda: self.supervisor.group(applied.name, applied.processes))
        grace = applied.health.grace if applied.health else STARTS_SECONDS * 3
        result = self._wait(applied, grace, crashes)
        if result.ok:
            self._proved(applied)
            return self._state(applied.name)
        output = [line.text for line in logs.since(self.home, applied.name, before, _OUTPUT_LINES)][-_OUTPUT_LINES:]
        message = f"{result.message}: {' | '.join(output[-_MESSAGE_LINES:])}" if output else result.message
        self.store.put(replace(applied, phase="failed", message=message))
        raise RuntimeFailure(
            applied.name,
            "start" if crashes.problem else "health",
            result.message,
            output=output,
            hint=f"see: celeriac logs {applied.name}",
        )

    def _wait(self, applied: Applied, grace: float, crashes: _Crashes | None = None) -> ProbeResult:
        """Wait until every process is up, the probe is good, and it is this app that answers."""
        crashes = crashes or _Crashes(lambda: self.supervisor.group(applied.name, applied.processes))

        def ask(left: float) -> ProbeResult:
            if applied.health is not None:
                result = self._probe(applied, left)
                if not result.ok:
                    return result
            slow = crashes.not_ready(applied, settled=applied.health is None)
            return ProbeResult(not slow, slow)

        result = health.wait_healthy(ask, grace=grace, crashed=crashes.look, cancelled=self.context.cancelled)
        if result.ok and applied.health is not None and applied.health.type != "custom":
            other = ports.answered_by_other(applied.health.port, self._own_pids(applied.name))
            if other:
                return ProbeResult(False, f"port {applied.health.port} is answered by {other}, not by this app")
        return result

    def _proved(self, applied: Applied) -> None:
        """Remember that the app was healthy with exactly this."""
        processes = self.supervisor.group(applied.name, applied.processes)
        self.observer.put_record(applied.name, HealthRecord(identities(processes)))
        if applied.phase != "running":
            applied = replace(applied, phase="running", applied_at=now())
        if applied != self.applied(applied.name):
            self.store.put(applied)

    def _probe(self, applied: Applied, timeout: float | None) -> ProbeResult:
        manifest = msgspec.to_builtins(applied)
        env = launch.environment(manifest, self.store.env(applied.name), os.environ, "health")
        spec = AppSpec(applied.name, applied.version, health=applied.health)
        return health.probe(
            spec,
            release=Path(applied.release),
            env=env,
            cwd=self.store.folder(applied.name) / "data",
            timeout=timeout,
            cancelled=self.context.cancelled,
        )

    # Reconfigure

    def _signal(self, spec: AppSpec, applied: Applied) -> bool:
        """Give the running app its new environment file and tell it; false when it must be restarted instead.

        The environment goes first: a process that crashes between the two starts with the new one under the old
        stamp, which is observed and repaired; the other way round would be a stamp that lies.
        """
        processes = self.supervisor.group(spec.name, applied.processes)
        if not all_up(applied, processes) or self.observer.drift(applied) or applied.phase != "running":
            return False
        env_sha256 = self.store.put_env(spec.name, spec.env)
        changed = _described(replace(applied, env_sha256=env_sha256, digest=str(digest(spec))), spec)
        self.store.put(replace(changed, phase="starting"))
        self.supervisor.signal(spec.name, applied.processes, spec.run.reload_signal.upper().removeprefix("SIG"))
        grace = spec.health.grace if spec.health else STARTS_SECONDS * 2
        after = self.supervisor.group(spec.name, applied.processes)
        if identities(after) != identities(processes) or not self._wait(changed, grace).ok:
            return False
        self._proved(replace(changed, reloaded=identities(after)))
        return True

    # Inside

    def _refuse_taken_ports(self, spec: AppSpec, *, wait: bool) -> None:
        """Fail before anything is started on a port that somebody else holds: it would answer in the app's name."""
        for port in sorted(_ports(spec)):
            deadline = time.monotonic() + (1.0 if wait else 0.0)
            while ports.is_open(port):
                taken = ports.holder(port) if wait else ports.answered_by_other(port, self._own_pids(spec.name))
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

    def _own_pids(self, name: str) -> set[int]:
        return {process.pid for process in strays.find(self.home, name)}

    def _state(self, name: str) -> AppState:
        state = self.observer.one(name)
        if state is None:
            raise RuntimeFailure(name, "start", "its manifest was removed while it was being changed")
        return state

    def _require(self, name: str, step: str) -> Applied:
        applied = self.applied(name)
        if applied is None:
            raise RuntimeFailure(name, step, "it is not deployed on this node", reason="NotDeployed")
        return applied

    def _wanted(self) -> Mapping[str, WantedApp]:
        """For a new supervisor: every app there is, and which of them are to be started."""
        return {
            name: WantedApp(tuple(applied.processes), applied.phase in {"starting", "running"})
            for name, applied in self.store.all().items()
            if applied.processes
        }

    @contextlib.contextmanager
    def _changing(self, name: str, step: str) -> Iterator[None]:
        """Be the only one on this node who changes `name`; say what the supervisor could not do as a failure of it."""
        if not is_app_name(name):
            raise RuntimeFailure(name, step, "that is not the name of an app", reason="BadName")
        folder = self.home / "locks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with locked(folder / name, timeout=_LOCK_LIMIT, give_up=self._give_way):
                yield
        except LockTimeoutError:
            raise RuntimeFailure(name, step, "another process is changing it", reason="Busy") from None
        except (SupervisorError, SupervisorConfigError) as error:
            raise RuntimeFailure(name, step, error.message, reason=error.reason, hint=error.hint) from error

    def _give_way(self) -> None:
        if self.context.cancelled():
            raise Superseded("a newer desired state waits")


class _Crashes:
    """Watches the processes of one start and tells when there is no point in waiting for them."""

    def __init__(self, look: Callable[[], Mapping[str, ProcessInfo]]) -> None:
        self._look = look
        self._ends: dict[str, set[float]] = {}
        self._pids: dict[str, set[int]] = {}
        self.problem = ""

    def look(self) -> str:
        """Why the app will not come up; empty while it may."""
        for info in self._look().values():
            pids = self._pids.setdefault(info.name, set())
            if info.pid:
                pids.add(info.pid)
            if info.state in {"BACKOFF", "EXITED"}:
                self._ends.setdefault(info.name, set()).add(info.stopped)
            if info.state == "FATAL":
                self.problem = ended(info, ())
            elif len(self._ends.get(info.name, ())) > 1 or len(pids) > 2:
                self.problem = f"{info.name} ended again and again ({info.error or 'ended'})"
        return self.problem

    def not_ready(self, applied: Applied, *, settled: bool) -> str:
        """Which process is not up; one that ended before, or any if `settled`, must have stayed up."""
        processes = self._look()
        if not all_up(applied, processes):
            down = [name for name in applied.processes if name not in processes or not processes[name].up]
            return f"{', '.join(down) or applied.name} is not up"
        for name, info in processes.items():
            if info.state != "RUNNING" and (settled or self._ends.get(name) or len(self._pids.get(name, ())) > 1):
                return f"{name} has not been up for {STARTS_SECONDS}s"
        return ""


def _refuse(spec: AppSpec) -> None:
    if spec.isolation == "embedded":
        raise RuntimeFailure(
            spec.name,
            "start",
            "the process runtime does not host embedded apps",
            reason="IsolationUnavailable",
            hint="set isolation: process",
        )


def _described(applied: Applied, spec: AppSpec) -> Applied:
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
