"""The desired state of a whole repository at one revision, small enough to compare on every change.

`SpecFile` is what parsing one file gave, and is kept per blob so that an unchanged file is never
parsed again. `assemble` applies the rules that span files (unique names, known dependencies, no
cycles) and gives the `DesiredApp`s that the planner compares with what runs. Neither holds the
environment, commands or URLs of an app, since those may hold secrets: the whole spec is read
where it is needed (`specs.vault`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from specs.model import Icon, Isolation, Placement, Strategy, Suspend
from specs.problem import Problem


@dataclass(frozen=True, slots=True)
class DesiredApp:
    """What the planner and the status need to know of one app.

    `problems` empty: valid. Otherwise the app is `invalid`, is left exactly as it runs, and
    `version`, `digest` may be empty. `folder` is the folder's name below the apps folder.
    """

    name: str
    folder: str
    path: str
    blob: str
    version: str = ""
    digest: str = ""
    depends_on: tuple[str, ...] = ()
    description: str = ""
    icon: Icon = Icon()
    isolation: Isolation = "process"
    strategy: Strategy = "restart"
    prune: bool = True
    renamed_from: str = ""
    suspend: Suspend | None = None
    placement: Placement = field(default_factory=Placement)
    problems: tuple[Problem, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether this app may be changed at all."""
        return not self.problems
