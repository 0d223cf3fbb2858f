"""What really runs on this node, put beside what is desired: the observation, drift, and what may be tidied up.

Asked for every few seconds per node, and as a step of a run where a node is not known yet. It changes no app: what
drifted is noted as due, and the next run plans the repair.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from celeriac.errors import CeleriacError
from reconciler.check import ask_those_due
from reconciler.engine import Engine
from reconciler.known import policy_for
from reconciler.masking import masked
from reconciler.planning import plan
from reconciler.remember import remember
from reconciler.tidy import tidy
from reconciler.work import Work
from specs.appstate import AppState
from state.events import Event
from state.steps import Claim, StepOutcome
from state.unavailable import StateUnavailable

_AGAIN = 4  # looks that follow the first when some app is coming back
_PAUSE = 0.25


def observe_step(engine: Engine, claim: Claim) -> Work:
    """Observe as a step of a run. When it fails the run goes on: what is not known is left alone."""
    try:
        look(engine)
    except StateUnavailable:
        raise
    except CeleriacError as error:
        return Work(StepOutcome("failed", error.reason, error.message, blocks=False))
    return Work()


def observe(engine: Engine) -> Mapping[str, AppState]:
    """Observe outside of a run; what drifted from Git is noted, to be looked at by a run soon."""
    states = _observed(engine)
    for _ in range(_AGAIN):
        # What was started anew, as after a crash, is asked at once, so that it is known to be well within moments. What
        # a run changes it sees to itself.
        if not _comes_back(states) or engine.runs.current() is not None:
            break
        if ask_those_due(engine):
            states = _observed(engine)
        if _comes_back(states):
            time.sleep(_PAUSE)
            states = _observed(engine)
    tidy(engine, states)
    return states


def _comes_back(states: Mapping[str, AppState]) -> bool:
    """Whether some app is being started, or runs and was not asked yet."""
    return any(s.status == "starting" or (s.status, s.health) == ("running", "unknown") for s in states.values())


def _observed(engine: Engine) -> Mapping[str, AppState]:
    """Look, and tell what is news."""
    node = engine.settings.node
    states, began = _seen(engine)
    # Read only where it is told of, and before it is replaced.
    before = engine.live.node(node) if engine.live.is_news(node, states) else states
    if engine.live.replace(node, states, engine.clock(), began):
        _tell_changes(engine, before, states, _changed_by_us(engine, before, states))
        if engine.runs.current() is None:
            _note_drift(engine, node)
        else:  # a run in progress changes things itself: looked at again after it
            engine.live.unsettle(node)
    return states


def look(engine: Engine) -> tuple[dict[str, AppState], bool]:
    """See what runs and remember it; whether that is news."""
    states, began = _seen(engine)
    return states, engine.live.replace(engine.settings.node, states, engine.clock(), began)


def _seen(engine: Engine) -> tuple[dict[str, AppState], float]:
    """What runs, and since when that was looked at."""
    runtime, began = engine.runtime, engine.clock()
    revive = getattr(runtime, "revive", None)
    if revive is not None and getattr(runtime, "all_applied", dict)():
        revive()
    _tell_overruns(engine)
    states = {
        name: replace(state, message=masked(engine, state.message, state.digest)) if state.message else state
        for name, state in runtime.current_state().items()
    }
    if engine.settings.node not in engine.live.observed():
        remember(engine, states)
    return states, began


def _tell_overruns(engine: Engine) -> None:
    """An event for each app that was killed for its memory since the last look; told again if we die in between."""
    runtime: Any = engine.runtime
    if not hasattr(runtime, "watch_limits"):
        return
    for name, those in runtime.watch_limits().items():
        for overrun in those:
            engine.emit(
                Event(
                    "health.check",
                    engine.clock(),
                    app=name,
                    node=engine.settings.node,
                    result="killed",
                    error=f"{overrun.process} {overrun}",
                    extra={
                        "reason": "OutOfMemory",
                        "process": overrun.process,
                        "limit": overrun.limit,
                        "by": overrun.by,
                    },
                )
            )
            runtime.overrun_told(name, overrun)


def _note_drift(engine: Engine, node: str) -> None:
    head, apps = engine.desired.snapshot()
    if head is None:
        return
    live = engine.live.states()
    planned = plan(apps, live, policy_for(engine, head, apps, live))
    concerned = [change for change in planned.changes if change.node == node]
    if concerned:
        engine.due.schedule(f"drift:{node}", engine.store.now())


def _changed_by_us(engine: Engine, before: Mapping[str, AppState], now: Mapping[str, AppState]) -> set[str]:
    """Those of the apps which look as if somebody had changed them that a step is at, or has just ended."""
    suspects = [name for name in before.keys() | now.keys() if drift_of(before.get(name), now.get(name))]
    if not suspects:
        return set()
    node = engine.settings.node
    told = engine.live.node(node)  # what a step told since we looked is newer, and stays
    return {n for n in suspects if engine.leases.holder(f"{n}@{node}") is not None or told.get(n) != now.get(n)}


def _tell_changes(
    engine: Engine, before: Mapping[str, AppState], now: Mapping[str, AppState], by_us: Collection[str]
) -> None:
    """An event for each app that went up or down, or of which something was changed on the node not `by_us`."""
    at = engine.clock()
    ended: dict[str, str] = {}
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        drift = "" if name in by_us else drift_of(old, new)
        if drift and old is not None and new is not None and _has_ended(old, new):
            ended[name] = new.digest
        was = (old.status, old.health) if old else ("absent", "unknown")
        is_now = (new.status, new.health) if new else ("absent", "unknown")
        if not drift and (was == is_now or (old is None and new is not None and new.status == "running")):
            continue
        engine.emit(
            Event(
                "health.check",
                at,
                app=name,
                node=engine.settings.node,
                result=is_now[1] if is_now[0] == "running" else is_now[0],
                error=new.message if new and is_now != ("running", "healthy") else "",
                extra={
                    "was": f"{was[0]}, {was[1]}",
                    "now": f"{is_now[0]}, {is_now[1]}",
                    **({"drift": drift} if drift else {}),
                },
            )
        )
    engine.upgrades.ended(engine.settings.node, ended, at)


def drift_of(old: AppState | None, new: AppState | None) -> str:
    """What is not as Celeriac left it, where that is news and no step's doing; empty for nothing. Pure."""
    if new is None:
        return "it is not there any more" if old is not None else ""
    if new.drift:
        return new.drift if old is None or old.drift != new.drift else ""
    if old is not None and _has_ended(old, new):
        return "a process ended by itself"
    return ""


def _has_ended(old: AppState, new: AppState) -> bool:
    """Whether a process of the app ended with nobody asking for it: it was given up, or is another one now. Pure."""
    if new.drift or old.digest != new.digest:
        return False
    if new.status == "failed":
        return old.status != "failed"
    if old.started_at is None:
        return False
    return new.started_at > old.started_at if new.started_at is not None else new.status == "starting"
