"""The desired state of a whole repository at one revision, small enough to compare on every change.

`DesiredApp` is what parsing one file gave (`specs.loader.summary`), and is kept per blob so that an unchanged file
is never parsed again. `assemble` applies the rules that span files: unique names, known dependencies, no
cycles; its result is what the planner compares with what runs. Neither holds the environment,
commands or URLs of an app, since those may hold secrets: the whole spec is read where it is needed
(`specs.vault`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from celeriac.windows import Window
from specs import graph
from specs.document import Position
from specs.model import Icon, Isolation, Placement, Strategy, Suspend
from specs.names import did_you_mean, marked_name, name_from_folder
from specs.problem import Problem


@dataclass(frozen=True, slots=True)
class DesiredApp:
    """What the planner and the status need to know of one app.

    `problems` empty: valid. Otherwise the app is `invalid`, is left exactly as it runs, and
    `version`, `digest` may be empty. `folder` is the folder's name below the apps folder, `hooks` names those that
    the app has. `guessed` says that the file itself did not tell its name for certain. `positions` tells the line and
    column of the fields that other files may contradict.
    """

    name: str
    folder: str
    path: str
    blob: str
    version: str = ""
    digest: str = ""
    depends_on: tuple[str, ...] = ()
    description: str = ""
    icon: Icon = field(default_factory=Icon)
    isolation: Isolation = "process"
    strategy: Strategy = "restart"
    prune: bool = True
    renamed_from: str = ""
    suspend: Suspend | None = None
    placement: Placement = field(default_factory=Placement)
    hooks: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()
    problems: tuple[Problem, ...] = ()
    guessed: bool = False
    positions: Mapping[str, Position] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether this app may be changed at all."""
        return not self.problems


def assemble(
    files: Mapping[str, DesiredApp] | Iterable[DesiredApp], previous: Mapping[str, str] | None = None
) -> dict[str, DesiredApp]:
    """All apps of a repository by name, in order of name, with the problems that span files added.

    Every file is in it, also those that are invalid: two files of one name are both invalid, and the one whose
    path comes later stands under a name of its own. `previous` maps the path of a file to the
    name it had before: a file that no longer tells its name keeps that one, so its app does not look removed.
    """
    apps = sorted(files.values() if isinstance(files, Mapping) else files, key=lambda app: app.path)
    found = _Problems()
    named, stand_ins = _name_all(apps, previous or {}, found)
    _check_renames(named, stand_ins, found)
    _check_dependencies(named, stand_ins, found)
    return {name: found.added_to(name, named[name]) for name in sorted(named)}


class _Problems:
    """What was found so far, by the name an app stands under."""

    def __init__(self) -> None:
        self._found: dict[str, list[Problem]] = {}

    def add(self, name: str, app: DesiredApp, field_name: str, message: str) -> None:
        line, column = app.positions.get(field_name, (0, 0))
        self._found.setdefault(name, []).append(Problem(app.path, message, field_name, line, column))

    def added_to(self, name: str, app: DesiredApp) -> DesiredApp:
        if name in self._found:
            return replace(app, name=name, problems=(*app.problems, *self._found[name]))
        return app if app.name == name else replace(app, name=name)


def _name_all(
    apps: Iterable[DesiredApp], previous: Mapping[str, str], found: _Problems
) -> tuple[dict[str, DesiredApp], set[str]]:
    """Every app under a name of its own, and those names that are only stand-ins."""
    groups: dict[str, list[DesiredApp]] = {}
    unsure: list[DesiredApp] = []
    for app in apps:
        if app.guessed:
            unsure.append(app)
        else:
            groups.setdefault(app.name, []).append(app)
    named = {name: group[0] for name, group in groups.items()}
    stand_ins: set[str] = set()
    for app in unsure:
        name = previous.get(app.path, app.name)
        if name in named:
            name = _stand_in(app, named)
            stand_ins.add(name)
        named[name] = app
    for name, group in groups.items():
        if len(group) == 1:
            continue
        found.add(name, group[0], "name", _same_name(name, group, group[0]))
        for app in group[1:]:
            own = _stand_in(app, named)
            stand_ins.add(own)
            named[own] = app
            found.add(own, app, "name", _same_name(name, group, app))
    return named, stand_ins


def _stand_in(app: DesiredApp, taken: Mapping[str, DesiredApp]) -> str:
    name = name_from_folder(app.folder)
    return name if name not in taken else marked_name(app.name, app.path)


def _same_name(name: str, group: list[DesiredApp], app: DesiredApp) -> str:
    others = [other.path for other in group if other is not app]
    shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    return f"`{name}` is also the name of the app in {shown}"


def _check_renames(named: Mapping[str, DesiredApp], stand_ins: set[str], found: _Problems) -> None:
    heirs: dict[str, list[str]] = {}
    for name, app in named.items():
        if app.renamed_from:
            heirs.setdefault(app.renamed_from, []).append(name)
    for old, names in heirs.items():
        for name in names:
            app = named[name]
            if old in named and old not in stand_ins:
                message = f"`{old}` is still an app of this repository ({named[old].path}); remove one of the two"
                found.add(name, app, "renamed_from", message)
            elif len(names) > 1:
                others = ", ".join(named[other].path for other in names if other != name)
                found.add(name, app, "renamed_from", f"`{old}` is also taken over by {others}")


def _check_dependencies(named: Mapping[str, DesiredApp], stand_ins: set[str], found: _Problems) -> None:
    """Missing dependencies and cycles, and all that need the apps they concern."""
    names = named.keys() - stand_ins
    edges = {name: named[name].depends_on for name in names if named[name].depends_on}
    why: dict[str, str] = {}
    missing = graph.missing(edges, names)
    heirs = {named[name].renamed_from: name for name in sorted(names) if named[name].renamed_from} if missing else {}
    for name, absent in missing.items():
        for dependency in absent:
            heir = heirs.get(dependency)
            hint = f" It was renamed to `{heir}`." if heir else did_you_mean(dependency, names)
            message = f"there is no app `{dependency}` in this repository.{hint}".removesuffix(".")
            found.add(name, named[name], "depends_on", message)
        why[name] = f"needs `{absent[0]}`, which is not in this repository"
    for cycle in graph.cycles(edges):
        spelled = graph.spell(cycle)
        for name in cycle[:-1]:
            found.add(name, named[name], "depends_on", f"dependency cycle: {spelled}")
            why[name] = f"is in a dependency cycle: {spelled}"
    root_of: dict[str, str] = {name: name for name in why}
    for name, parent in graph.dependents(edges, why).items():
        root = root_of[name] = root_of[parent]
        if parent == root:
            message = f"needs `{parent}`, which {why[root]}"
        else:
            message = f"needs `{parent}`, which is invalid since `{root}` {why[root]}"
        found.add(name, named[name], "depends_on", message)
