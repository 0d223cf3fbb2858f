"""What the facts of one app mean: its state. Pure.

The facts are what is applied, what the supervisor says, what is stamped into the living processes, and what their last
health check found. `runtimes.observe` gathers them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from runtimes.applied import Applied
from runtimes.endings import how_it_ended
from runtimes.overruns import Overrun
from runtimes.strays import RunStamp
from runtimes.supervisor_conf import STARTS_SECONDS
from runtimes.supervisor_rpc import ProcessInfo
from specs.appstate import AppState, HealthStatus, Status
from specs.digest import Digest


class HealthRecord(msgspec.Struct, frozen=True):
    """What the last health check of an app found. `processes` are those it was about, as `pid:start`.

    `passed`: these very processes were healthy once. Until then their failures do not tell that they are well.
    """

    processes: dict[str, str]
    failures: int = 0
    message: str = ""
    passed: bool = True


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
