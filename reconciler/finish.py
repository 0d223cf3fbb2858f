"""The end of a run: what blocked steps mean, the run's record, results for those who wait, the next run.

What is left when this dies half-way: before `close` the sweep finds the run finished and comes here again; after
`close` the record is in `unanswered` until each result is stored, and the next run's first step is sent by the sweep.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.engine import Engine
from reconciler.status import time_text
from reconciler.steps import PULL
from state.events import Event
from state.outcomes import Outcome
from state.steps import Blocked, Run, Step, StepRecord

LOST = "WorkerLost"
"""The reason that the sweep gives a step whose workers died."""

_LOST_WAIT = 60.0
_PHASES = frozenset({"pull", "parse", "diff"})
_PLANNING = frozenset({"parse", "diff"})


def note_blocked(engine: Engine, run: str, blocked: Sequence[Blocked]) -> None:
    """Remember of each app that it waits, and for whom. Repeating it is harmless."""
    about = [one for one in blocked if one.step.app]
    if not about:
        return
    pipe = engine.store.pipeline()
    now = engine.clock()
    for one in about:
        outcome = Outcome(
            app=one.step.app,
            node=one.step.node,
            action=one.step.action,
            result="blocked",
            digest=one.step.digest,
            version=one.step.version,
            reason="DependencyFailed",
            message=one.message,
            run=run,
            revision=one.step.revision,
            at=now,
            by=one.by,
        )
        engine.outcomes.put(outcome, pipe=pipe)
    pipe.execute()


def note_lost(engine: Engine, step: Step, run: str) -> Outcome:
    """Remember that an app's step was given up since its workers died, and try it again. Repeating it is harmless."""
    now = engine.clock()
    outcome = Outcome(
        app=step.app,
        node=step.node,
        action=step.action,
        result="failed",
        digest=step.digest,
        version=step.version,
        reason=LOST,
        message="its worker was lost again and again while at it; see the worker's log",
        run=run,
        revision=step.revision,
        at=now,
        attempts=1,
        not_before=now + _LOST_WAIT,
    )
    pipe = engine.store.pipeline()
    engine.outcomes.put(outcome, pipe=pipe)
    engine.due.schedule(f"retry:{step.app}@{step.node}", outcome.not_before, pipe=pipe)
    pipe.execute()
    return outcome


def finish(engine: Engine, run_id: str) -> None:
    """Close a run all of whose steps have ended; begin the next one that is wanted."""
    run = engine.runs.get(run_id)
    if run is not None:
        records = engine.runs.steps(run_id)
        note_blocked(engine, run_id, [Blocked(r.step, r.by, r.message) for r in records if r.state == "blocked"])
        for lost in (r.step for r in records if r.reason == LOST and r.step.app):
            note_lost(engine, lost, run_id)
        now = engine.clock()
        record = record_of(run, records, now)
        idle = bool(run.facts.get("idle")) and not any(r.step.app for r in records)  # asked for by hand meanwhile
        if record["error"] == "" and "pull" in {r.step.id for r in records}:
            engine.pulse.set("last_sync", now)
        if any(r.state == "failed" and r.step.task in _PLANNING and r.reason != "PlanChanged" for r in records):
            engine.pulse.set("plan_failed", now)
        at = engine.store.now()
        if record["error"] and engine.due.due(at):  # this run did not see to it: again, but not at once
            engine.pulse.set("due_not_before", at + min(engine.settings.interval, 30.0))
        closed = engine.runs.close(run_id, record, PULL, keep=not idle)
        if closed.first and not idle:
            engine.emit(_stop(record, now))
        if closed.next:
            engine.publish(closed.next, [PULL])
    answer(engine)


def answer(engine: Engine) -> None:
    """Store the result of every request whose run has been closed."""
    waiting = engine.runs.unanswered()
    for request, record in waiting.items():
        engine.answer(request, record)
    engine.runs.answered(waiting)


def record_of(run: Run, records: Iterable[StepRecord], now: float) -> dict[str, Any]:
    """The record of a run, in the shape that docs/json.md gives. Pure."""
    told = [r for r in records if r.step.app] + [r for r in records if not r.step.app and r.state != "ok"]
    failed = [r for r in records if r.state == "failed" and r.step.task in _PHASES]
    error = str(run.facts.get("error", "")) or "; ".join(f"{r.reason}: {r.message}" for r in failed)
    counts = Counter(_state(r) for r in records if r.step.app)
    return {
        "run": run.id,
        "trigger": run.trigger,
        "revision": run.facts.get("revision", ""),
        "status": _status(error, counts, int(run.facts.get("held", 0))),
        "started_at": time_text(run.started_at, "milliseconds"),
        "finished_at": time_text(now, "milliseconds"),
        "duration": round(max(now - run.started_at, 0.0), 3),
        "steps": [step_document(r) for r in told],
        "counts": dict(counts),
        "error": error,
    }


def progress_of(run: Run, records: Iterable[StepRecord]) -> dict[str, Any]:
    """The record of a run that goes on. Pure."""
    every = list(records)
    return {
        "run": run.id,
        "trigger": run.trigger,
        "revision": run.facts.get("revision", ""),
        "status": "syncing",
        "started_at": time_text(run.started_at, "milliseconds"),
        "finished_at": None,
        "duration": None,
        "steps": [step_document(r) for r in every],
        "counts": dict(Counter(_state(r) for r in every)),
        "error": str(run.facts.get("error", "")),
    }


def step_document(record: StepRecord) -> dict[str, Any]:
    """One step as people and programs see it."""
    step = record.step
    return {
        "app": step.app,
        "node": step.node,
        "task": step.task,
        "action": step.action,
        "state": _state(record),
        "reason": record.reason,
        "message": record.message,
    }


def _status(error: str, counts: Mapping[str, int], held: int) -> str:
    if error:
        return "error"
    bad = counts.get("failed", 0) + counts.get("blocked", 0)
    return "degraded" if bad or held else "synced"


def _state(record: StepRecord) -> str:
    return "failed" if record.state == "tolerated" else record.state


def _stop(record: Mapping[str, Any], now: float) -> Event:
    name = "reconcile.error" if record["error"] else "reconcile.stop"
    return Event(
        name,
        now,
        revision=record["revision"],
        run=record["run"],
        result=record["status"],
        error=record["error"],
        duration=record["duration"],
        extra=record["counts"],
    )
