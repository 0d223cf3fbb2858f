"""What really runs on this node, put beside what is desired: the observation, drift, and what may be tidied up.

Asked for every few seconds per node, and as a step of a run where a node is not known yet. It changes no app: what
drifted is noted as due, and the next run plans the repair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celeriac.errors import CeleriacError
from reconciler.engine import Engine
from reconciler.known import policy_for
from reconciler.planning import plan
from reconciler.tidy import tidy
from reconciler.work import Work
from specs.appstate import AppState
from state.events import Event
from state.steps import Claim, StepOutcome
from state.unavailable import StateUnavailable


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
    node = engine.settings.node
    before = engine.live.node(node)
    states, news = look(engine)
    if news:
        _tell_changes(engine, before, states)
        if engine.runs.current() is None:
            _note_drift(engine, node)
        else:  # a run in progress changes things itself: looked at again after it
            engine.live.unsettle(node)
    tidy(engine, states)
    return states


def look(engine: Engine) -> tuple[dict[str, AppState], bool]:
    """See what runs and remember it; whether that is news."""
    runtime, began = engine.runtime, engine.clock()
    revive = getattr(runtime, "revive", None)
    if revive is not None and getattr(runtime, "all_applied", dict)():
        revive()
    _tell_overruns(engine)
    states = runtime.current_state()
    return states, engine.live.replace(engine.settings.node, states, engine.clock(), began)


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


def _tell_changes(engine: Engine, before: Mapping[str, AppState], now: Mapping[str, AppState]) -> None:
    """An event for each app that went up or down by itself."""
    at = engine.clock()
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        was = (old.status, old.health) if old else ("absent", "unknown")
        is_now = (new.status, new.health) if new else ("absent", "unknown")
        if was == is_now or (old is None and new is not None and new.status == "running"):
            continue
        engine.emit(
            Event(
                "health.check",
                at,
                app=name,
                node=engine.settings.node,
                result=is_now[1] if is_now[0] == "running" else is_now[0],
                error=new.message if new and is_now != ("running", "healthy") else "",
                extra={"was": f"{was[0]}, {was[1]}", "now": f"{is_now[0]}, {is_now[1]}"},
            )
        )
