"""Everything beside desired and live state that a plan depends on, as one frozen value.

Read from Redis and the settings by `reconciler.diff`; the planner itself reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from celeriac.windows import Window, held_until
from specs.model import Suspend
from state.holds import Hold, Suspension
from state.outcomes import Outcome
from state.upgrades import Upgrade

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules for one plan. Times are seconds since the epoch.

    `nodes` maps each live node to its labels; `observed` holds those whose live state is known.
    `never_prune` holds the apps, gone from Git, whose last spec said `prune: false`.
    `windows` are the sync windows of everything, `last_windows` those of apps that are gone from Git.
    `pending_removals` are apps whose removal already waits to be acknowledged: a later commit does not do that.
    `max_removals` None means the default of DESIGN section 3: more than 3 apps and more than 30 %.
    """

    now: float = 0.0
    revision: str = ""
    nodes: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"local": {}})
    observed: frozenset[str] | None = None
    outcomes: Mapping[tuple[str, str], Outcome] = field(default_factory=dict)
    upgrades: Mapping[tuple[str, str], Upgrade] = field(default_factory=dict)
    suspensions: Mapping[str, Suspension] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    never_prune: frozenset[str] = frozenset()
    max_removals: int | None = None
    removals_allowed: str = ""
    pending_removals: frozenset[str] = frozenset()
    apps_dir_found: bool = True
    windows: tuple[Window, ...] = ()
    last_windows: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    force: bool = False
    only: str = ""

    def knows(self, node: str) -> bool:
        """Whether what runs on `node` has been observed."""
        return self.observed is None or node in self.observed

    def suspended(self, app: str, spec: Suspend | None, until: float) -> str:
        """Why `app` is suspended now, for people; empty when it is not.

        `until` is the spec's own end as a time (0: none).
        """
        if spec is not None and (not until or until > self.now):
            return spec.reason or "suspended in its spec"
        for name in (app, EVERYTHING):
            suspension = self.suspensions.get(name)
            if suspension and (not suspension.until or suspension.until > self.now):
                if name == app:
                    return suspension.reason or "suspended by hand"
                return f"everything is suspended{f': {suspension.reason}' if suspension.reason else ''}"
        return ""

    def suspension_ends(self, app: str, spec: Suspend | None, until: float) -> float:
        """When nothing suspends `app` any more, which is suspended now, with nobody doing anything; 0 for never."""
        ends = [until] if spec is not None and (not until or until > self.now) else []
        for name in (app, EVERYTHING):
            suspension = self.suspensions.get(name)
            if suspension and (not suspension.until or suspension.until > self.now):
                ends.append(suspension.until)
        return max(ends) if ends and all(ends) else 0.0

    def closed_until(self, windows: tuple[Window, ...]) -> float | None:
        """When the sync windows of an app, and those of everything, let it be changed: None for now, 0 for never."""
        if self.force or not (windows or self.windows):
            return None
        return held_until(self.now, self.windows, windows)

    @property
    def removals_acknowledged(self) -> bool:
        """Whether somebody has said that this revision may remove whatever it does."""
        return bool(self.removals_allowed) and self.revision.startswith(self.removals_allowed)

    def too_many(self, removals: int, live: int) -> bool:
        """Whether removing that many of `live` apps needs to be acknowledged first."""
        if not removals or self.removals_acknowledged:
            return False
        if not self.apps_dir_found:
            return True
        if live >= 2 and removals >= live:
            return True
        if self.max_removals is not None:
            return removals > self.max_removals
        return removals > 3 and removals > 0.3 * live
