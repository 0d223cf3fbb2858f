"""The status: one pure function from what is known to what people and programs are shown (DESIGN section 6).

`Known` is all that was read; `status_of` decides. `synced` needs three things to agree: what Git says, what is
applied, and what was observed to run and be healthy; what was not observed lately is `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from reconciler.plan import Change, Held
from reconciler.planning import Live, plan, suspended_until
from reconciler.policy import Policy
from specs.appstate import AppState
from specs.desired import DesiredApp
from state.desired import Head, RemoteStatus
from state.outcomes import POST_DEPLOY_FAILED, Outcome
from state.steps import StepRecord

TOO_OLD = 60.0
"""Seconds after which an observation no longer counts, where nodes look more often than that."""

Sync = Literal["synced", "out_of_sync", "unknown", "invalid", "blocked", "suspended"]

_WAITING = {
    "Suspended": "suspended",
    "DependencyNotReady": "blocked",
    "Invalid": "invalid",
    "NotObserved": "unknown",
}


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that the status is made from, as read at the time `now`."""

    now: float
    head: Head | None
    remote: RemoteStatus | None
    apps: Mapping[str, DesiredApp]
    live: Live
    observed: Mapping[str, float]
    policy: Policy
    steps: tuple[StepRecord, ...] = ()
    syncing: bool = False
    branch: str = ""
    last_sync: float = 0.0
    next_sync: float = 0.0
    failing: bool = False  # the last run could not make a plan of what Git says
    too_old: float = TOO_OLD
    outcomes: Mapping[tuple[str, str], Outcome] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one app stands on all of its nodes together."""

    sync: Sync
    status: str
    health: str
    reason: str = ""
    message: str = ""
    state: AppState | None = None


def status_of(known: Known) -> dict[str, Any]:
    """The document of `status()`."""
    standings = standings_of(known)
    return {
        "status": overall(known, standings.values()),
        "revision": known.head.revision if known.head else "",
        "branch": known.head.branch if known.head else known.branch,
        "app_count": len(standings),
        "healthy_count": sum(1 for one in standings.values() if one.health == "healthy"),
        "last_sync": time_text(known.last_sync),
        "next_sync": time_text(known.next_sync),
        "apps": {name: document(known.apps.get(name), one) for name, one in sorted(standings.items())},
    }


def standings_of(known: Known) -> dict[str, Standing]:
    """How each app stands: those of Git, and those that still run though they are gone from it."""
    planned = plan(known.apps, known.live, known.policy)
    changes, held = _by_app(planned.changes), _by_app(planned.held)
    work: dict[str, StepRecord] = {r.step.app: r for r in known.steps if r.step.app and r.state == "running"}
    outcomes: dict[str, list[Outcome]] = {}
    for (name, _), outcome in known.outcomes.items():
        outcomes.setdefault(name, []).append(outcome)
    names = set(known.apps) | {name for name, states in known.live.items() if states}
    return {
        name: _standing(
            known,
            known.apps.get(name),
            known.live.get(name, {}),
            changes.get(name, []),
            held.get(name, []),
            outcomes.get(name, []),
            work.get(name),
        )
        for name in names
    }


def overall(known: Known, standings: Iterable[Standing]) -> str:
    """The one word for everything."""
    every = list(standings)
    if known.head is None:
        failed = known.failing or (known.remote is not None and not known.remote.ok)
        return "error" if failed else "syncing" if known.syncing else "initializing"
    if known.syncing:
        return "syncing"
    if known.failing or (known.remote is not None and not known.remote.ok):
        return "error"
    if not every:
        return "synced" if known.last_sync else "ready"
    if any(_degraded(one) for one in every):
        return "degraded"
    return "synced"


def document(app: DesiredApp | None, standing: Standing) -> dict[str, Any]:
    """One app of the document of `status()`."""
    state = standing.state
    return {
        "sync": standing.sync,
        "status": standing.status,
        "health": standing.health,
        "version": state.version if state else "",
        "desired_version": app.version if app else "",
        "node": state.node if state else "",
        "pid": state.pid if state else None,
        "started_at": _iso(state.started_at) if state and state.started_at else None,
        "reason": standing.reason,
        "message": standing.message,
        "depends_on": list(app.depends_on if app and app.depends_on else state.depends_on if state else ()),
    }


def time_text(seconds: float, precision: str = "seconds") -> str | None:
    """A time as people and programs read it, to `precision` (a unit of datetime's isoformat); None for none."""
    return _iso(datetime.fromtimestamp(seconds, UTC), precision) if seconds else None


def _standing(
    known: Known,
    app: DesiredApp | None,
    states: Mapping[str, AppState],
    changes: list[Change],
    held: list[Held],
    outcomes: list[Outcome],
    work: StepRecord | None,
) -> Standing:
    state = _worst(states)
    status = state.status if state else "pending"
    health = state.health if state else "unknown"
    if work is not None:
        status = "upgrading" if work.step.task == "upgrade" else "starting" if work.step.task == "deploy" else status
    sync, reason, message = _sync(known, app, states, changes, held, outcomes)
    if state is None and any(o.result == "failed" for o in outcomes):
        status = "failed"
    if not message and state is not None and (status == "failed" or health == "unhealthy" or state.reason):
        message = state.message
    if not reason and state is not None:
        reason = state.reason
    return Standing(sync, status, health, reason, message, state)


def _sync(
    known: Known,
    app: DesiredApp | None,
    states: Mapping[str, AppState],
    changes: list[Change],
    held: list[Held],
    outcomes: list[Outcome],
) -> tuple[Sync, str, str]:
    bad = next((o for o in outcomes if o.result in ("failed", "rolled_back")), None)
    if bad is not None and app is not None and bad.digest != app.digest:
        bad = None
    if app is not None and app.problems:
        return "invalid", "Invalid", "; ".join(str(problem) for problem in app.problems[:3])
    if app is not None and (why := known.policy.suspended(app.name, app.suspend, suspended_until(app))):
        ends = known.policy.suspension_ends(app.name, app.suspend, suspended_until(app))
        why = f"{why}, until {time_text(ends)}" if ends else why
        pending = ", ".join(dict.fromkeys(one.pending for one in held if one.pending))
        return "suspended", "Suspended", f"{why}; pending: {pending}" if pending else why
    blocked = next((o for o in outcomes if o.result == "blocked"), None)
    if held:
        first = held[0]
        if first.reason in _WAITING:
            sync: Any = _WAITING[first.reason]
            return sync, first.reason, first.message
        if bad is not None and first.reason in ("BackOff", "RolledBack"):
            return "out_of_sync", "RolledBack" if bad.result == "rolled_back" else bad.reason, bad.message
        return "out_of_sync", first.reason, first.message
    if blocked is not None and changes:
        return "blocked", blocked.reason, blocked.message
    if bad is not None and changes:
        return "out_of_sync", "RolledBack" if bad.result == "rolled_back" else bad.reason, bad.message
    if changes:
        return "out_of_sync", changes[0].reason, ""
    stale = [node for node in states if known.now - known.observed.get(node, 0.0) > known.too_old]
    if stale:
        return "unknown", "NotObserved", f"{', '.join(sorted(stale))} has not said lately what runs there"
    if any((state.status, state.health) != ("running", "healthy") for state in states.values()):
        return "unknown", "HealthUnknown", "no health check has passed yet"
    if bad is not None and bad.reason == POST_DEPLOY_FAILED:
        return "synced", bad.reason, bad.message
    return "synced", "", ""


def _worst(states: Mapping[str, AppState]) -> AppState | None:
    """The state that tells most of an app on several nodes: the one that is worst."""
    order = {"failed": 0, "stopped": 1, "pending": 2, "starting": 3, "upgrading": 4, "running": 5}
    ranked = sorted(states.values(), key=lambda s: (order[s.status], s.health == "healthy", s.node))
    return ranked[0] if ranked else None


def _degraded(one: Standing) -> bool:
    waits = one.sync in ("synced", "suspended") or one.reason == "SyncWindow"
    if not waits or one.reason == POST_DEPLOY_FAILED:
        return True
    return one.status == "failed" or one.health == "unhealthy"


def _by_app(entries: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for entry in entries:
        found.setdefault(entry.app, []).append(entry)
    return found


def _iso(moment: datetime, precision: str = "seconds") -> str:
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
