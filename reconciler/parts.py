"""What is read and written in Redis and on this node's disk, in one place. Light to import: commands that read use it.

`reconciler.engine.Engine` adds what changes things.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from celeriac.settings import Settings
from reconciler.ledger import KEPT, Ledger
from specs.vault import SpecVault
from state.desired import Desired
from state.due import Due
from state.events import Events
from state.health import HealthBook
from state.history import History
from state.holds import Holds
from state.hooks import HookBook
from state.lease import Leases
from state.live import Live
from state.nodes import Nodes
from state.outcomes import Outcomes
from state.pulse import Pulse
from state.runs import Runs
from state.store import Store, open_store
from state.upgrades import Upgrades


@dataclass
class Parts:
    """The parts, each made when first used."""

    settings: Settings

    @cached_property
    def store(self) -> Store:
        """The connection to Redis."""
        return open_store(self.settings)

    @cached_property
    def runs(self) -> Runs:
        """The runs, open and closed."""
        return Runs(self.store)

    @cached_property
    def leases(self) -> Leases:
        """Leases that are not part of a run."""
        return Leases(self.store)

    @cached_property
    def desired(self) -> Desired:
        """What Git says."""
        return Desired(self.store)

    @cached_property
    def live(self) -> Live:
        """What was observed to run."""
        return Live(self.store)

    @cached_property
    def outcomes(self) -> Outcomes:
        """How the last attempts ended."""
        return Outcomes(self.store)

    @cached_property
    def upgrades(self) -> Upgrades:
        """The last upgrades, while they are watched."""
        return Upgrades(self.store)

    @cached_property
    def due(self) -> Due:
        """What must be looked at later."""
        return Due(self.store)

    @cached_property
    def holds(self) -> Holds:
        """What people said by hand."""
        return Holds(self.store)

    @cached_property
    def hooks(self) -> HookBook:
        """Which hooks ran in which run."""
        return HookBook(self.store)

    @cached_property
    def events(self) -> Events:
        """What happened."""
        return Events(self.store)

    @cached_property
    def history(self) -> History:
        """What was changed, per app."""
        return History(self.store)

    @cached_property
    def nodes(self) -> Nodes:
        """The machines."""
        return Nodes(self.store)

    @cached_property
    def health(self) -> HealthBook:
        """The last health checks."""
        return HealthBook(self.store)

    @cached_property
    def pulse(self) -> Pulse:
        """When the parts last gave a sign."""
        return Pulse(self.store)

    @cached_property
    def vault(self) -> SpecVault:
        """Whole specs, on this node's disk."""
        return SpecVault(self.settings.home)

    @cached_property
    def ledger(self) -> Ledger:
        """What was in force before, on this node's disk."""
        return Ledger(self.settings.home, max(KEPT, self.settings.keep_releases))
