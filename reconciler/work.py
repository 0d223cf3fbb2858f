"""How any step is done, whatever it is: claimed, kept, carried out, ended, and what follows sent on.

What is left when this process dies:
- before the claim: the step is ready, the sweep sends it again
- at work: its lease lapses, the sweep makes it ready again; the work is idempotent
- between complete and publish: most of those made ready were sent by complete itself, the rest are by the sweep
- between the last complete and the end of the run: the sweep ends the run
A message that comes twice is refused at the claim.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.consequences import classify
from reconciler.engine import Attending, Engine
from reconciler.finish import finish, note_blocked
from state.events import Event
from state.lease import LeaseLost
from state.runs import RunUnknown
from state.steps import Claim, Completed, Refused, Step, StepOutcome
from state.unavailable import StateUnavailable

OK = StepOutcome("ok")
_PATIENCE = 120.0  # seconds that a result is held on to while Redis does not answer


@dataclass(frozen=True, slots=True)
class Work:
    """What a step's body gives back: how it ended, what follows, what to write and tell when that counts."""

    outcome: StepOutcome = OK
    add: Sequence[Step] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    effects: Any = None
    events: tuple[Event, ...] = ()


Body = Callable[[Engine, Claim], Work]


@dataclass(frozen=True, slots=True)
class Done:
    """How a message about a step ended: the step's state, or why it was refused."""

    state: str
    step: Step | None = None
    outcome: StepOutcome | None = None


def perform(
    engine: Engine,
    run: str,
    step: str,
    body: Body,
    *,
    report: Callable[[str], None] = lambda phase: None,
    seen: Callable[[Claim], None] = lambda claim: None,
) -> Done:
    """Do one step of a run, unless it is not (or no longer) ours to do.

    `report` is told the phase that the work is in, `seen` what was claimed. Raises StateUnavailable when Redis
    does not answer; the step is then found again by the sweep.
    """
    claim = _claim(engine, run, step)
    if isinstance(claim, Refused):
        return Done(claim.reason)
    seen(claim)
    with engine.keeper.keep(claim) as kept:
        engine.attending = Attending(report, _cancelled(engine, claim, lambda: kept.lost), claim)
        try:
            work = _carried_out(engine, claim, body)
        except BaseException:
            _give_back(engine, claim)
            raise
        finally:
            engine.attending = Attending()
        try:
            completed = _complete(engine, claim, work)
        except LeaseLost:
            return Done("LeaseLost", claim.step)
    for event in work.events:
        engine.tell(event)
    follow(engine, run, completed)
    return Done(work.outcome.state, claim.step, work.outcome)


def _claim(engine: Engine, run: str, step: str) -> Claim | Refused:
    """Claim the step. Planning waits a moment for whoever puts a newer revision in force beside the run."""
    owner = engine.owner()
    for _ in range(50):
        claim = engine.runs.claim(run, step, owner, engine.settings.lease)
        if step != "diff" or claim != Refused("Busy"):
            break
        time.sleep(0.1)
    return claim


def follow(engine: Engine, run: str, completed: Completed) -> None:
    """Do what ending steps asks for: remember what is blocked, send what is ready, end the run."""
    note_blocked(engine, run, completed.blocked)
    if completed.ready:
        engine.publish(run, completed.ready)
    if completed.finished:
        finish(engine, run)


def _carried_out(engine: Engine, claim: Claim, body: Body) -> Work:
    try:
        return body(engine, claim)
    except StateUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - a fault, ours too, fails its own step and not the run
        verdict = classify(error)
        engine.fault(error, claim)
        superseded = verdict.consequence == "superseded"
        return Work(StepOutcome("superseded" if superseded else "failed", verdict.reason, verdict.message))


def _complete(engine: Engine, claim: Claim, work: Work) -> Completed:
    for event in work.events:
        if work.effects is None:
            raise TypeError("events of a step need effects to be written with")
        engine.events.emit(event, pipe=work.effects)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return engine.runs.complete(claim, work.outcome, work.add, work.facts, work.effects)
        except StateUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _give_back(engine: Engine, claim: Claim) -> None:
    try:
        engine.runs.give_back(claim)
    except StateUnavailable:
        return  # its lease lapses instead


def _cancelled(engine: Engine, claim: Claim, lost: Callable[[], bool]) -> Callable[[], bool]:
    """Whether the step should give up: it is no longer ours, or a newer state of its app is desired."""
    step = claim.step
    asked = time.monotonic()
    answer = False

    def cancelled() -> bool:
        nonlocal asked, answer
        if answer or lost():
            return True
        if not step.app or step.payload.get("manual") or time.monotonic() - asked < 0.5:
            return False
        asked = time.monotonic()
        try:
            answer = outdated(step, engine.desired.digest(step.app))
        except StateUnavailable:
            return False
        return answer

    return cancelled


def outdated(step: Step, desired: str | None) -> bool:
    """Whether Git now asks for something else than `step` was planned for. Pure. A broken spec asks for nothing."""
    if not step.digest:
        return desired is not None and step.action == "remove" and step.reason == "GoneFromGit"
    if step.action == "repair" and step.digest == step.from_digest:
        return desired is None
    if step.action == "rollback":
        return desired is None or (desired != "" and desired != step.from_digest)
    return desired is None or (desired != "" and desired != step.digest)


def send_into(engine: Engine, run: str, steps: Sequence[Step]) -> bool:
    """Add `steps` to the open run `run` and send them; False when it has been closed meanwhile."""
    try:
        completed = engine.runs.insert(run, steps)
    except RunUnknown:
        return False
    follow(engine, run, completed)
    return True
