"""One spec file to an `AppSpec`, or to all that is wrong with it, each with its place.

Reads bytes, never files: `repository` hands it blobs from the mirror, `directory` those of a folder. `summary` is
what is kept of the file for planning. No input makes it raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from specs.desired import DesiredApp
from specs.digest import digest
from specs.document import Fault, MalformedError, Position, nearest, spelled
from specs.formats import MAX_BYTES, read
from specs.model import AppSpec
from specs.names import is_name, name_from_folder
from specs.problem import Problem
from specs.schema import LITERAL_FIELDS, read_spec

SPEC_FILES = (
    "app.yaml",
    "app.yml",
    "app.json",
    "app.toml",
    "config.yaml",
    "config.yml",
    "config.json",
    "config.toml",
)
"""The names of spec files; the first that a folder holds is its spec."""

_MOST_REPEATED = 100  # keys given twice that are reported of one file
_PLACED = ("name", "depends_on", "renamed_from")
_NAME_FIELD = rb"""["']?name["']?[ \t]*[:=][ \t]*["']?([a-z][a-z0-9_-]{0,62})["']?[ \t]*(?:[,}#\r]|$)"""
_NAME_FIELDS = tuple(re.compile(start + _NAME_FIELD, re.MULTILINE) for start in (b"^", rb"^[ \t{]{1,20}"))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file gave. `spec` is None exactly when there are `problems`.

    `name` is the app's name as well as it can be told. `guessed` is true where the file did not tell it for
    certain: it is broken, or has no valid name and the folder's stands in. `positions` tells where the
    fields stand that other files may contradict.
    """

    spec: AppSpec | None
    problems: tuple[Problem, ...]
    name: str
    guessed: bool = False
    positions: Mapping[str, Position] = field(default_factory=dict)


def choose(files: Iterable[str]) -> str | None:
    """The spec file among the names in one folder; None when there is none."""
    present = set(files)
    return next((name for name in SPEC_FILES if name in present), None)


def load(path: str, blob: bytes, folder: str) -> Loaded:
    """What the file at `path` (as it is shown to people), in the apps' folder `folder`, says."""
    try:
        document = read(path, blob, LITERAL_FIELDS)
    except MalformedError as error:
        problems = tuple(_problem(path, fault) for fault in error.faults)
        return Loaded(None, problems, _name_in_text(blob, folder), guessed=True)
    spec, errors = read_spec(document.data)
    positions = document.locate()
    placed = {name: positions[(name,)] for name in _PLACED if (name,) in positions}
    if spec is not None and not document.faults:
        return Loaded(replace(spec, path=path), (), spec.name, positions=placed)
    faults = [
        *document.faults[:_MOST_REPEATED],
        *(Fault(message, *nearest(positions, at), path=at) for at, message in errors),
    ]
    faults.sort(key=lambda fault: (fault.line == 0, fault.line, fault.column))
    name, guessed = _name_in_data(document.data, folder)
    return Loaded(None, tuple(_problem(path, fault) for fault in faults), name, guessed, placed)


def summary(loaded: Loaded, path: str, blob_id: str, folder: str) -> DesiredApp:
    """What planning needs to know of a loaded file."""
    known = DesiredApp(
        name=loaded.name,
        folder=folder,
        path=path,
        blob=blob_id,
        guessed=loaded.guessed,
        positions=loaded.positions,
        problems=loaded.problems,
    )
    spec = loaded.spec
    if spec is None:
        return known
    return replace(
        known,
        version=spec.version,
        digest=str(digest(spec)),
        depends_on=spec.depends_on,
        description=spec.description,
        icon=spec.icon,
        isolation=spec.isolation,
        strategy=spec.upgrade.strategy,
        prune=spec.prune,
        renamed_from=spec.renamed_from,
        suspend=spec.suspend,
        placement=spec.placement,
        hooks=spec.hooks.names,
        windows=spec.windows,
    )


def _problem(path: str, fault: Fault) -> Problem:
    return Problem(path, fault.message, spelled(fault.path), fault.line, fault.column)


def _name_in_data(data: dict[str, Any], folder: str) -> tuple[str, bool]:
    name = data.get("name")
    if isinstance(name, str) and is_name(name):
        return name, False
    return name_from_folder(folder), True


def _name_in_text(blob: bytes, folder: str) -> str:
    """The name in a file that cannot be read as a whole: its app must not look as if it were gone."""
    for pattern in _NAME_FIELDS:
        found = pattern.search(blob[:MAX_BYTES])
        if found:
            return found[1].decode("ascii")
    return name_from_folder(folder)
