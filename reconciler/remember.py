"""After Redis lost everything: what this node's ledger knows that Redis should know, told to it again.

Carried out when the node is observed for the first time that Redis knows of, so before anything is planned for it:
a roll-back by hand goes on to hold, what failed here is not tried again at once, and a young upgrade is watched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.crashes import WATCHED
from reconciler.engine import Engine
from reconciler.ledger import Entry
from specs.appstate import AppState
from specs.digest import Digest
from state.holds import Hold
from state.outcomes import Outcome
from state.upgrades import Upgrade


@dataclass(frozen=True, slots=True)
class Memory:
    """What an app's ledger tells of its present state."""

    hold: Hold | None = None
    outcome: Outcome | None = None
    upgrade: Upgrade | None = None


def memory_of(entries: Sequence[Entry], state: AppState, now: float) -> Memory:
    """What the ledger `entries`, newest first, tells of an app in this state. Pure."""
    newest = entries[0] if entries else None
    if newest is None or not Digest.parse(newest.digest).runs_like(Digest.parse(state.digest)):
        return Memory()
    if newest.by_hand:
        return Memory(hold=Hold(state.name, newest.refused, newest.version, newest.at, newest.why))
    if newest.refused:
        return Memory(
            outcome=Outcome(
                app=state.name,
                node=state.node,
                action="upgrade",
                result="rolled_back",
                digest=newest.refused,
                version=newest.refused_version,
                reason="RolledBack",
                message=newest.why,
                at=newest.at,
                attempts=newest.attempts,
                not_before=newest.until,
            )
        )
    if newest.action == "upgrade" and len(entries) > 1 and now - newest.at <= WATCHED:
        before = entries[1]
        return Memory(
            upgrade=Upgrade(
                state.name, state.node, newest.at, newest.digest, newest.version, before.digest, before.version,
                newest.attempts,
            )
        )  # fmt: skip
    return Memory()


def remember(engine: Engine, states: Mapping[str, AppState]) -> None:
    """Tell Redis what the ledgers of this node know. What Redis knows itself stays. Repeating it is harmless."""
    now = engine.clock()
    holds, outcomes, upgrades = engine.holds.holds(), engine.outcomes.all(), engine.upgrades.all()
    pipe = engine.store.pipeline()
    for name, state in states.items():
        told = memory_of(engine.ledger.of(name), state, now)
        key = (name, state.node)
        if told.hold is not None and name not in holds:
            engine.holds.hold(told.hold, pipe=pipe)
        if told.outcome is not None and key not in outcomes:
            engine.outcomes.put(told.outcome, pipe=pipe)
            engine.due.schedule(f"retry:{name}@{state.node}", told.outcome.not_before, pipe=pipe)
        if told.upgrade is not None and key not in upgrades:
            engine.upgrades.put(told.upgrade, pipe=pipe)
    pipe.execute()
