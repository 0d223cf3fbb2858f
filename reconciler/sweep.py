"""The sweep: level-triggered repair of what messages lost. Every few seconds; any number may run at once.

It re-sends steps that are ready but were not taken or whose worker is lost, fails those that were lost too often or
wait for a node that is gone, ends runs that are done, stores results that are missing, and asks for a run when
something is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.engine import Engine
from reconciler.finish import answer, finish, note_blocked, note_lost
from reconciler.placement import NODE_GRACE, nodes_gone
from reconciler.steps import PULL
from reconciler.work import follow
from state.events import Event
from state.nodes import Node
from state.runs import RunUnknown
from state.steps import Swept

_NEARLY = 0.5
"""The part of its interval after which a node may look again. What is known is when the last look had ended: a sweep
that comes a little early by that must not leave out a whole interval.
"""


def sweep(engine: Engine) -> Swept:
    """Look once, and mend what is found."""
    now = engine.store.now()
    engine.pulse.set("beat", now)
    found = engine.runs.sweep(stale=resend_after(engine.settings.lease))
    if found.run:
        _lost(engine, found)
        _waiting_for_nodes(engine, found, now)
        if found.resend:
            engine.publish(found.run, found.resend)
        if found.finished:
            finish(engine, found.run)
    else:
        answer(engine)
        if engine.settings.repo_url and engine.due.due(now):
            wait = engine.pulse.get("due_not_before").get("due_not_before", 0.0)
            if now >= wait:
                request(engine, "due")
    _notice_nodes(engine, now)
    return found


def resend_after(lease: float) -> float:
    """Seconds after which a ready step that nobody took is sent again; its message is dropped then. Pure."""
    return 2 * lease


def request(engine: Engine, trigger: str) -> None:
    """Ask for a run in our own name."""
    asked = engine.runs.request(trigger, PULL)
    if asked.started:
        engine.publish(asked.run, [PULL])


def _lost(engine: Engine, found: Swept) -> None:
    now = engine.clock()
    for step in found.lost:
        if step.app:
            outcome = note_lost(engine, step, found.run)
            engine.emit(
                Event(
                    f"{step.task}.stop", now, app=step.app, node=step.node, revision=step.revision, run=found.run,
                    result="failed", error=outcome.message, extra={"reason": outcome.reason},
                )
            )  # fmt: skip
    note_blocked(engine, found.run, found.blocked)


def _waiting_for_nodes(engine: Engine, found: Swept, now: float) -> None:
    gone = nodes_gone(engine.nodes.all(), now)
    stuck = [step.id for step in found.resend if step.node in gone]
    if not stuck:
        return
    try:
        completed = engine.runs.fail(found.run, stuck, "NodeDown", "its node is down; done when the node is back")
    except RunUnknown:
        return
    follow(engine, found.run, completed)


def _notice_nodes(engine: Engine, now: float) -> None:
    """An event when a node went silent or came back."""
    key = "node-up"
    nodes = engine.nodes.all()
    before = engine.pulse.get(*(f"{key}:{name}" for name in nodes)) if nodes else {}
    for name, node in nodes.items():
        was = before.get(f"{key}:{name}")
        if was == float(node.alive):
            continue
        engine.pulse.set(f"{key}:{name}", float(node.alive))
        if was is None and not node.alive:
            continue
        # Its apps are placed anew: now that it is back, or when it is no longer waited for.
        engine.due.schedule(f"node:{name}", now if node.alive else node.seen_at + NODE_GRACE)
        engine.emit(Event("node.up" if node.alive else "node.down", engine.clock(), node=name))


def to_look_at(nodes: Mapping[str, Node], observed: Mapping[str, float], now: float, every: float) -> Iterable[str]:
    """The nodes that should look again at what they run. Pure."""
    return [name for name, node in nodes.items() if node.alive and now - observed.get(name, 0.0) >= every * _NEARLY]
