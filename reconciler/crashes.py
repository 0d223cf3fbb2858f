"""Whether an upgrade that went well has failed after all: its processes began to end again and again soon after. Pure.

Such an upgrade counts as failed: the planner makes a roll-back of it (`reconciler.planning`), and the digest that
failed is not tried again before its back-off is over or its spec has changed.
"""

from __future__ import annotations

from specs.appstate import AppState
from specs.digest import Digest
from state.upgrades import Upgrade

WATCHED = 300.0
"""Seconds after an upgrade within which a crash loop that begins counts against it."""

ENDS = 3
"""Processes that ended by themselves so often are a crash loop, though the supervisor has not given up."""


def failed_later(upgrade: Upgrade | None, state: AppState | None, now: float) -> bool:
    """Whether `state`, which the upgrade led to, is that of a crash loop that began while it was watched.

    What was damaged or stopped by somebody is no fault of the release: it is repaired.
    """
    if upgrade is None or state is None or not upgrade.from_digest:
        return False
    if not Digest.parse(upgrade.digest).runs_like(Digest.parse(state.digest)):
        return False
    given_up = state.status == "failed" and not state.drift
    began = upgrade.ends[0] if upgrade.ends else now
    return began - upgrade.at <= WATCHED and (given_up or len(upgrade.ends) >= ENDS)


def is_over(upgrade: Upgrade, now: float) -> bool:
    """Whether nothing that happens to `upgrade` counts against it any more. A loop may need some time to show."""
    return now - upgrade.at > 2 * WATCHED
