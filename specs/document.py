"""What reading the text of a spec gives, in whatever format: plain data, and where each field stands.

Made by the format modules (`yaml_format`, `json_format`, `toml_format`), chosen by `formats`,
judged by `schema`. Nothing here knows what the fields of a spec are. The bounds hold for every format,
so that no file can make a worker slow or large.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celeriac.errors import CeleriacError

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_NODES = 50_000

FieldPath = tuple[str | int, ...]
Position = tuple[int, int]

_SHOWN_KEY = 80
_UNFIT = re.compile(r"[\x00\ud800-\udfff]")
_UNFIT_TEXT = "holds a character that text cannot hold (NUL, or half of a surrogate pair)"


class WrittenFloat(float):
    """A number with a fraction that remembers how it was written, so that `1.10` stays `1.10`."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        """The number that `text` spells; `.inf` and `.nan` are YAML's spellings."""
        value = super().__new__(cls, text.replace(".inf", "inf").replace(".nan", "nan") if text[-1] in "nf" else text)
        value.text = text
        return value


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a text, before anyone knows which file it came from."""

    message: str
    line: int = 0
    column: int = 0
    path: FieldPath = ()


class MalformedError(CeleriacError):
    """The text is not a document at all: nothing of it can be used. `faults` say where and why."""

    reason = "Malformed"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[0].message)
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Document:
    """A text that could be read.

    `data` holds dict, list, str, int, float (`WrittenFloat`), bool and None (TOML: dates and times too).
    `faults` are those that left the rest usable, such as a key given twice. `locate` makes the positions
    of all fields; it is called only when they are needed.
    """

    data: dict[str, Any]
    locate: Callable[[], Mapping[FieldPath, Position]]
    faults: tuple[Fault, ...] = ()


def malformed(message: str, line: int = 0, column: int = 0) -> MalformedError:
    """The error for a text with one fault."""
    return MalformedError([Fault(message, line, column)])


def nearest(positions: Mapping[FieldPath, Position], path: FieldPath) -> Position:
    """Where `path` stands, or the closest field around it that has a position; (0, 0) for none."""
    while path and path not in positions:
        path = path[:-1]
    return positions.get(path, (0, 0)) if path else (0, 0)


def spelled(path: FieldPath) -> str:
    """`path` as people read it: `health.port`, `depends_on[1]`. Odd keys are escaped and cut."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + printable(part)
    return text


def printable(key: str) -> str:
    """`key` fit for a terminal and a log line."""
    safe = key if key.isprintable() else key.encode("unicode_escape").decode("ascii")
    return safe if len(safe) <= _SHOWN_KEY else f"{safe[:_SHOWN_KEY]}…"


def check_bounds(data: Any) -> None:
    """Raise MalformedError when `data` is nested too deeply or holds too many values. Iterative."""
    level: list[Any] = [data]
    nodes = depth = 0
    while level:
        nodes += len(level)
        if nodes > MAX_NODES:
            raise malformed(f"holds more than {MAX_NODES:,} values")
        containers = [value for value in level if isinstance(value, dict | list)]
        if containers:
            depth += 1
        if depth > MAX_DEPTH:
            raise malformed(f"is nested more than {MAX_DEPTH} levels deep")
        level = []
        for value in containers:
            level.extend(value.values() if isinstance(value, dict) else value)


def check_characters(data: Any, locate: Callable[[], Mapping[FieldPath, Position]]) -> None:
    """Raise MalformedError for text that no file or environment can hold: NUL, lone surrogates.

    They only come from escapes, so callers skip this for a text without a backslash.
    """
    unfit: list[FieldPath] = []
    pending: list[tuple[FieldPath, Any]] = [((), data)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            if any(_UNFIT.search(key) for key in value):
                unfit.append(path)
            pending.extend(((*path, key), item) for key, item in value.items())
        elif isinstance(value, list):
            pending.extend(((*path, index), item) for index, item in enumerate(value))
        elif isinstance(value, str) and _UNFIT.search(value):
            unfit.append(path)
    if unfit:
        positions = locate()
        faults = [Fault(_UNFIT_TEXT, *nearest(positions, path), path=path) for path in unfit]
        raise MalformedError(sorted(faults, key=lambda fault: (fault.line, fault.column)))
