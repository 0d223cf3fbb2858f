"""What really runs, said truthfully: manifests, supervisor and live processes put together. Changes nothing.

`state_of` is pure and decides what the facts of one app mean. `Observer` gathers the facts of all apps
with one call of the supervisor, and reads again only what changed since the last time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil

from runtimes import logs, overruns, strays
from runtimes.applied import LIVE, Applied, AppliedStore
from runtimes.endings import how_it_ended
from runtimes.files import is_locked, write_atomic
from runtimes.front_config import ports_of
from runtimes.host_client import running_digest
from runtimes.integrity import Integrity
from runtimes.overruns import Overrun
from runtimes.sides import Side, group_name, side_of
from runtimes.strays import RunStamp
from runtimes.supervisor_conf import STARTS_SECONDS
from runtimes.supervisor_rpc import ProcessInfo, SupervisorError, SupervisorGoneError
from runtimes.supervisord import Supervisor
from specs.appstate import AppState, HealthStatus, Status
from specs.digest import Digest

_LAST_LINES = 5


class HealthRecord(msgspec.Struct, frozen=True):
    """What the last health check of an app found. `processes` are those it was about, as `pid:start`.

    `passed`: these very processes were healthy once. Until then their failures do not tell that they are well.
    """

    processes: dict[str, str]
    failures: int = 0
    message: str = ""
    passed: bool = True


_record_decoder = msgspec.json.Decoder(HealthRecord)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one app. `processes` is None without a supervisor; `digests` are the stamped ones.

    `stamps` are what the launcher noted of each process, `overruns` the times that one was killed for its memory.
    """

    applied: Applied
    processes: Mapping[str, ProcessInfo] | None
    digests: Mapping[str, str] = field(default_factory=dict)
    health: HealthRecord | None = None
    drift: str = ""
    trouble: str = ""
    stamps: Mapping[str, RunStamp] = field(default_factory=dict)
    overruns: tuple[Overrun, ...] = ()


def identity(info: ProcessInfo) -> str:
    """One living process, told apart from a later one with the same id."""
    return f"{info.pid}:{info.started:.0f}"


def identities(processes: Mapping[str, ProcessInfo]) -> dict[str, str]:
    """The identities of several processes, by name."""
    return {name: identity(info) for name, info in processes.items()}


def took_over(applied: Applied, name: str, info: ProcessInfo) -> bool:
    """Whether this very process was given newer code or environment than it was started with."""
    return applied.reloaded.get(name) == identity(info)


def all_up(applied: Applied, processes: Mapping[str, ProcessInfo]) -> bool:
    """Whether every process of the app lives and none is on its way out."""
    return all(
        (info := processes.get(name)) is not None and info.state in {"STARTING", "RUNNING"} and info.pid > 0
        for name in applied.processes
    )


def state_of(facts: Facts, last_lines: tuple[str, ...] = ()) -> AppState:
    """What the facts mean. `last_lines` are told where a process gave up."""
    applied = facts.applied
    status, health, message = _judge(facts, last_lines)
    drift = facts.drift or _stopped_by_hand(facts)
    killed = _killed(facts)
    if facts.drift:
        status, message = "failed", f"{facts.drift}: to be restored"
    elif killed:
        message = f"{killed}; {message}" if health != "healthy" and status == "running" and message else killed
    leader = (
        next((facts.processes[n] for n in applied.processes if n in facts.processes), None) if facts.processes else None
    )
    started = max((info.started for info in (facts.processes or {}).values() if info.up), default=0.0)
    return AppState(
        name=applied.name,
        version=applied.version,
        revision=applied.revision,
        digest=_digest(facts),
        status=status,
        health=health,
        node=applied.node,
        pid=leader.pid if leader is not None and leader.up else None,
        path=applied.release,
        started_at=datetime.fromtimestamp(started, UTC) if started else None,
        message=message,
        depends_on=applied.depends_on,
        isolation=applied.isolation,
        description=applied.description,
        icon=applied.icon,
        reason="OutOfMemory" if killed and not facts.drift else "",
        limits=_limits(facts),
        drift=drift,
    )


def _killed(facts: Facts) -> str:
    """That a process which runs now took the place of one killed for its memory, or that one was and none runs now."""
    for overrun in reversed(facts.overruns):
        info, stamp = (facts.processes or {}).get(overrun.process), facts.stamps.get(overrun.process)
        if info is None or stamp is None or info.state in {"STOPPED", "STOPPING"}:
            continue
        what = str(overrun) if len(facts.applied.processes) == 1 else f"{overrun.process} {overrun}"
        begun = info.up and stamp.pid == info.pid
        if begun and stamp.before == overrun.instance:
            return f"{what}, restarted"
        if not begun and stamp.instance == overrun.instance:
            return f"{what}, again and again" if info.state in {"FATAL", "UNKNOWN"} else f"{what}, is started again"
    return ""


def _limits(facts: Facts) -> Mapping[str, str]:
    """What holds the first process that lives."""
    for name, info in (facts.processes or {}).items():
        stamp = facts.stamps.get(name)
        if stamp is not None and info.up and stamp.pid == info.pid:
            return stamp.limits
    return {}


def _judge(facts: Facts, last_lines: tuple[str, ...]) -> tuple[Status, HealthStatus, str]:
    applied, processes = facts.applied, facts.processes
    if processes is None:
        return "stopped", "unknown", facts.trouble or "the supervisor is not running"
    known = {name: processes[name] for name in applied.processes if name in processes}
    if not known:
        return "stopped", "unknown", "the supervisor does not know it"
    gone = [info for info in known.values() if info.state in {"FATAL", "UNKNOWN"}]
    if gone:
        said = ": " + " | ".join(last_lines) if last_lines else ""
        log = f"celeriac logs {applied.name} -p {gone[0].name}"
        return "failed", "unhealthy", f"{given_up(gone[0])}; see: {log}{said}"
    anew = [info for info in known.values() if applied.phase == "running" and _not_begun(facts, info)]
    if all_up(applied, known) and not anew:
        return _judge_up(facts, known)
    ending = [info for info in known.values() if info.state in {"BACKOFF", "EXITED"}] or anew
    if ending:
        return "starting", "unhealthy", f"{ending[0].name} ended and is started again"
    down = [name for name in applied.processes if name not in known or known[name].state in {"STOPPED", "STOPPING"}]
    if len(down) < len(applied.processes):
        return "failed", "unhealthy", f"{', '.join(down)} does not run"
    return "stopped", "unknown", "stopped on request" if applied.phase == "stopped" else "stopped"


def _stopped_by_hand(facts: Facts) -> str:
    """What somebody stopped, or took away, behind Celeriac's back; empty when nobody did."""
    applied, processes = facts.applied, facts.processes
    if processes is None or applied.phase != "running":
        return ""
    gone = [name for name in applied.processes if name not in processes]
    if gone:
        return f"{', '.join(gone)} was taken from the supervisor"
    stopped = [name for name in applied.processes if processes[name].state in {"STOPPED", "STOPPING"}]
    return f"{', '.join(stopped)} was stopped by hand" if stopped else ""


def _judge_up(facts: Facts, known: Mapping[str, ProcessInfo]) -> tuple[Status, HealthStatus, str]:
    applied, record = facts.applied, facts.health
    health: HealthStatus = "unknown"
    message = applied.message
    threshold = applied.health.threshold if applied.health else 1
    if record is not None and record.processes == identities(known):
        health = "unhealthy" if record.failures >= threshold else "healthy" if record.passed else "unknown"
        message = record.message or message
    elif applied.health is None and all(info.state == "RUNNING" for info in known.values()):
        health = "healthy"  # the supervisor says RUNNING of what stayed up for 5 s
    if applied.phase in {"switching", "starting"}:
        return "starting", health, message
    if applied.phase == "failed" and health != "healthy":
        return "failed", "unhealthy", message
    return "running", health, message


def _not_begun(facts: Facts, info: ProcessInfo) -> bool:
    """Whether a process has not yet become the app: a health check that does not ask it would call it well."""
    return info.state == "STARTING" and not facts.digests.get(info.name)


def _digest(facts: Facts) -> str:
    """The digest that is stamped in what lives; the applied one where that means the same, or nothing lives.

    The record part of a digest changes without a restart, so it is taken from the manifest. A process that took
    its environment over by a signal still shows the stamp of its start; one that is hosted tells for itself.
    """
    applied = facts.applied
    for name, info in (facts.processes or {}).items():
        if name not in applied.processes or not info.up or (took_over(applied, name, info) and not applied.app):
            continue
        if _not_begun(facts, info):
            continue
        stamped = facts.digests.get(name, "")
        if not Digest.parse(stamped).runs_like(applied.parts):
            return stamped
    return applied.digest


def given_up(info: ProcessInfo) -> str:
    """Why a process is not there."""
    how = how_it_ended(info.error, info.exit_status, STARTS_SECONDS)
    return f"{info.name} was given up after several starts: {how}"


class Observer:
    """Gathers the facts of the apps of one home folder."""

    def __init__(self, home: Path, store: AppliedStore, supervisor: Supervisor) -> None:
        self._home = home
        self._store = store
        self._supervisor = supervisor
        self._digests: dict[str, str] = {}
        self._opened: tuple[tuple[int, int], frozenset[int]] = ((0, 0), frozenset())
        self._records: dict[str, tuple[tuple[int, int], HealthRecord | None]] = {}
        self.integrity = Integrity(home)

    def all(self) -> dict[str, AppState]:
        """The state of every app of which something is applied."""
        applied = self._store.all()
        if not applied:
            return {}
        processes: dict[str, dict[str, ProcessInfo]] | None = None
        trouble = ""
        try:
            processes = self._supervisor.processes()
        except SupervisorGoneError:
            trouble = "the supervisor is not running"
        except SupervisorError as error:
            trouble = error.message
        self._forget_old(processes or {})
        states = {}
        for name, one in applied.items():
            own = None if processes is None else processes.get(group_name(name, one.side), {})
            states[name] = self._state(self._facts(one, own, trouble))
        return states

    def one(self, name: str, processes: Mapping[str, ProcessInfo] | None = None) -> AppState | None:
        """The state of one app; None when nothing of it is applied. `processes` of it may have been seen just now."""
        applied = self._store.get(name)
        if applied is None:
            return None
        try:
            if processes is None:
                processes = self._supervisor.group(name, applied.processes, applied.side)
            return self._state(self._facts(applied, processes, ""))
        except SupervisorGoneError:
            return self._state(self._facts(applied, None, ""))

    def record(self, name: str) -> HealthRecord | None:
        """What the last health check of `name` found."""
        path = self._record_path(name)
        try:
            status = os.stat(path)  # noqa: PTH116 - one call per app and observation
        except OSError:
            return None
        key = (status.st_ino, status.st_mtime_ns)
        seen = self._records.get(name)
        if seen is None or seen[0] != key:
            try:
                decoded = _record_decoder.decode(Path(path).read_bytes())
            except (OSError, msgspec.MsgspecError):
                decoded = None
            seen = self._records[name] = (key, decoded)
        return seen[1]

    def put_record(self, name: str, record: HealthRecord, side: Side | None = None) -> None:
        """Remember what a health check found; nothing is written when it is what is known already.

        Nothing, either, of a generation that is gone.
        """
        if side in (None, self._store.live_side(name)) and self.record(name) == record:
            return
        with contextlib.suppress(FileNotFoundError):
            write_atomic(Path(self._record_path(name, side)), msgspec.json.encode(record))

    def stamped(self, app: str, info: ProcessInfo) -> str:
        """The digest that a living process was started with; empty when it cannot be told."""
        key = f"{app}:{info.name}:{identity(info)}"
        if key not in self._digests:
            stamped = self._read_stamp(app, info)
            if not stamped:
                return ""
            self._digests[key] = stamped
        return self._digests[key]

    def running(self, applied: Applied, info: ProcessInfo) -> str:
        """The digest of what a living process runs: its stamp or, of one that may have been changed since its start,
        what its host says. A host that does not answer is taken to run what it was last seen to.
        """
        stamped = self.stamped(applied.name, info)
        changed = took_over(applied, info.name, info)
        if not applied.app or not stamped or (not changed and Digest.parse(stamped).runs_like(applied.parts)):
            return stamped
        told = running_digest(Path(applied.env_file).parent, info.name, info.pid)
        return told or (applied.digest if changed and applied.phase == "running" else stamped)

    def _facts(self, applied: Applied, processes: Mapping[str, ProcessInfo] | None, trouble: str) -> Facts:
        digests = {n: self.running(applied, info) for n, info in (processes or {}).items() if info.up}
        facts = Facts(applied, processes, digests, self.record(applied.name), self.drift(applied), trouble)
        if not (applied.memory or applied.cpus) or not processes:
            return facts
        folder, side = self._store.folder(applied.name), applied.side
        found = {name: stamp for name in processes if (stamp := strays.read_stamp(folder / side, name)) is not None}
        return replace(facts, stamps=found, overruns=tuple(overruns.known(str(folder))) if applied.memory else ())

    def drift(self, applied: Applied) -> str:
        """What on disk is not as it was applied; empty when all is. While it is being changed nothing is."""
        if applied.phase in {"switching", "removing", "stopped"}:
            return ""
        folder = f"{self._home}/apps/{applied.name}"
        if os.path.realpath(f"{folder}/current") != os.path.realpath(applied.release):
            return "the link to its release was changed"
        if applied.venv and not os.path.exists(f"{applied.release}/venv/bin/python"):  # noqa: PTH110
            return "its virtual environment is gone"
        damage = self.integrity.damage(applied)
        if damage:
            return damage
        if self._store.env_sha256(applied.name) != applied.env_sha256:
            return "its environment file was changed"
        if applied.expose is not None and applied.phase == "running":
            if self._store.upstream(applied.name) != applied.upstream:
                return "the address that the front leads to was changed"
            if not os.path.exists(f"{self._home}/front/routes/{applied.name}.json"):  # noqa: PTH110
                return "the front does not lead to it"
            if applied.expose.port not in self._front_ports():
                return f"the front could not open port {applied.expose.port}"
        if self._store.standing_by(applied.name) and not is_locked(self._home / "locks" / applied.name):
            return "another release of it was left running beside it"
        return ""

    def _front_ports(self) -> frozenset[int]:
        path = self._home / "front" / "caddy.json"
        try:
            status = path.stat()
            key = (status.st_ino, status.st_mtime_ns)
            if self._opened[0] != key:
                self._opened = (key, ports_of(path.read_bytes()))
        except OSError:
            return frozenset()
        return self._opened[1]

    def _state(self, facts: Facts) -> AppState:
        state = state_of(facts)
        if state.status == "failed" and any(info.state == "FATAL" for info in (facts.processes or {}).values()):
            lines = logs.tail(self._home, facts.applied.name, _LAST_LINES)
            given_up = {info.name for info in (facts.processes or {}).values() if info.state == "FATAL"}
            state = state_of(facts, tuple(line.text for line in lines if line.process in given_up)[-_LAST_LINES:])
        return replace(state, message="being removed") if facts.applied.phase == "removing" else state

    def _read_stamp(self, app: str, info: ProcessInfo) -> str:
        try:
            stamped = strays.stamped_digest(psutil.Process(info.pid))
        except psutil.Error:
            return ""
        if not stamped:  # it wrote over its environment, as those do that change their title
            noted = strays.read_stamp(self._home / "apps" / app / side_of(info.app), info.name)
            stamped = noted.digest if noted is not None and noted.pid == info.pid else ""
        return stamped

    def _forget_old(self, processes: Mapping[str, Mapping[str, ProcessInfo]]) -> None:
        if len(self._digests) > 64 + 4 * sum(len(group) for group in processes.values()):
            self._digests.clear()

    def _record_path(self, name: str, side: Side | None = None) -> str:
        return f"{self._home}/apps/{name}/{side or LIVE}/health.json"
