"""JSON to plain data with positions.

The standard parser reads; a second, iterative walk over the tokens finds where each field stands and is made
only when a position is asked for. Two equal keys are a fault, and so are NaN and Infinity, which are not JSON.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Mapping
from typing import Any

from specs.document import (
    MAX_DEPTH,
    Document,
    Fault,
    FieldPath,
    Position,
    WrittenFloat,
    check_bounds,
    check_characters,
    malformed,
)

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]+')


class _NotJsonError(Exception):
    """A constant that Python's parser takes and JSON does not. Never leaves this module."""


def read_json(text: str, literal: frozenset[str] = frozenset()) -> Document:
    """The document in `text`. Raises MalformedError with line and column.

    `literal` is here for likeness with the other formats: JSON's words already are as written.
    """
    repeated = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        made = dict(items)
        repeated = repeated or len(made) != len(items)
        return made

    try:
        data = json.loads(text, object_pairs_hook=pairs, parse_float=WrittenFloat, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        if not text.strip():
            raise malformed("is empty; a spec needs at least name and version", 1, 1) from error
        message = error.msg[:1].lower() + error.msg[1:]
        raise malformed(message.removesuffix(" at"), error.lineno, error.colno) from error
    except RecursionError as error:
        raise malformed(f"is nested more than {MAX_DEPTH} levels deep", 1, 1) from error
    except _NotJsonError as error:
        raise malformed(f"{error} is not JSON", *_find_word(text, str(error))) from error
    except ValueError as error:  # an integer of thousands of digits
        raise malformed("holds a number that is too long", 1, 1) from error
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value"
        raise malformed(f'must be an object of fields such as {{"name": "web"}}, not {kind}', 1, 1)
    check_bounds(data)
    if "\\" in text:
        check_characters(data, lambda: _walk(text)[0])
    faults = tuple(_walk(text)[1]) if repeated else ()
    return Document(data, lambda: _walk(text)[0], faults)


def _refuse(constant: str) -> Any:
    raise _NotJsonError(constant)


def _find_word(text: str, word: str) -> Position:
    starts = _line_starts(text)
    for match in _TOKEN.finditer(text):
        if match[0] == word:
            return _position(starts, match.start())
    return (1, 1)


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def _position(starts: list[int], offset: int) -> Position:
    line = bisect.bisect_right(starts, offset)
    return (line, offset - starts[line - 1] + 1)


class _Level:
    """One object or list of the walk: where it stands, and the key or index that comes next."""

    __slots__ = ("index", "is_object", "key", "path", "seen", "wants_key")

    def __init__(self, path: FieldPath, *, is_object: bool) -> None:
        self.path = path
        self.is_object = is_object
        self.wants_key = is_object
        self.key = ""
        self.index = 0
        self.seen: dict[str, int] = {}

    def next_path(self) -> FieldPath:
        return (*self.path, self.key if self.is_object else self.index)


def _walk(text: str) -> tuple[Mapping[FieldPath, Position], list[Fault]]:
    """The position of every field of a text that is known to be JSON, and the keys given twice."""
    starts = _line_starts(text)
    positions: dict[FieldPath, Position] = {}
    faults: list[Fault] = []
    levels: list[_Level] = []
    for match in _TOKEN.finditer(text):
        word = match[0]
        level = levels[-1] if levels else None
        if word in ("}", "]"):
            levels.pop()
        elif word == ",":
            if level is not None:
                level.index += 1
                level.wants_key = level.is_object
        elif word == ":":
            continue
        elif level is not None and level.wants_key:
            level.key = json.loads(word)
            level.wants_key = False
            at = _position(starts, match.start())
            path = level.next_path()
            if level.key in level.seen:
                faults.append(Fault(f"is given twice (first on line {level.seen[level.key]})", *at, path=path))
            else:
                level.seen[level.key] = at[0]
                positions.setdefault(path, at)
        else:
            path = () if level is None else level.next_path()
            if level is not None and not level.is_object:
                positions[path] = _position(starts, match.start())
            if word in ("{", "["):
                levels.append(_Level(path, is_object=word == "{"))
    return positions, faults
