"""TOML to plain data with positions.

The standard parser reads and finds the faults; where each field stands is found afterwards, and only when asked,
by looking for table headers and `key =` at the starts of lines. Fields inside inline tables
and lists are placed at the line of the field that holds them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

from specs.document import (
    MAX_DEPTH,
    Document,
    FieldPath,
    MalformedError,
    Position,
    WrittenFloat,
    check_bounds,
    check_characters,
    malformed,
    printable,
)

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_KEY_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_KEY = rf"{_KEY_PART}(?:[ \t]*\.[ \t]*{_KEY_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_KEY})[ \t]*\]")
_FIELD = re.compile(rf"([ \t]*)({_KEY})[ \t]*=[ \t]*(.*)")
_PART = re.compile(_KEY_PART)
_LONG_TEXT = ('"""', "'''")
# A dotted key of n parts costs the parser n² steps: no spec has a key of a hundred parts.
_MANY_DOTS = 100
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_KEY_PART}[ \t]*+\.[ \t]*+){{{_MANY_DOTS}}}")


def read_toml(text: str, literal: frozenset[str] = frozenset()) -> Document:
    """The document in `text`. Raises MalformedError with line and column.

    `literal` is here for likeness with the other formats: numbers with a fraction remember their text.
    """
    _refuse_long_keys(text)
    try:
        data = tomllib.loads(text, parse_float=WrittenFloat)
    except tomllib.TOMLDecodeError as error:
        raise _as_malformed(str(error), text) from error
    except RecursionError as error:
        raise malformed(f"is nested more than {MAX_DEPTH} levels deep", 1, 1) from error
    except ValueError as error:  # an integer of thousands of digits, a date that does not exist
        raise malformed("holds a number or date that cannot be read", 1, 1) from error
    if not data:
        raise malformed("is empty; a spec needs at least name and version", 1, 1)
    check_bounds(data)
    if "\\" in text:
        check_characters(data, lambda: _find_fields(text))
    return Document(data, lambda: _find_fields(text))


def _refuse_long_keys(text: str) -> None:
    if text.count(".") < _MANY_DOTS:
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") >= _MANY_DOTS and _LONG_KEY.search(line):
            raise malformed(f"is nested more than {MAX_DEPTH} levels deep", number, 1)


def _as_malformed(message: str, text: str) -> MalformedError:
    place = _PLACE.search(message)
    if place is None:
        return malformed(_sentence(message), 1, 1)
    message = message[: place.start()]
    if place[1] is None:
        last = text.rstrip("\n").split("\n")
        return malformed(f"{_sentence(message)}, at the end", len(last), len(last[-1]) + 1)
    return malformed(_sentence(message), int(place[1]), int(place[2]))


def _sentence(message: str) -> str:
    return printable(message[:1].lower() + message[1:])


def _find_fields(text: str) -> Mapping[FieldPath, Position]:
    positions: dict[FieldPath, Position] = {}
    table: FieldPath = ()
    lists: dict[FieldPath, int] = {}
    closing = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if closing:
            closing = "" if closing in line else closing
            continue
        header = _HEADER.match(line)
        if header is not None:
            table = _parts(header[2])
            if header[1] == "[[":
                lists[table] = lists.get(table, -1) + 1
                table = (*table, lists[table])
            _note(positions, table, (), (number, header.start(2) + 1))
            continue
        found = _FIELD.match(line)
        if found is None:
            continue
        _note(positions, table, _parts(found[2]), (number, len(found[1]) + 1))
        for quotes in _LONG_TEXT:
            if found[3].count(quotes) == 1:
                closing = quotes
    return positions


def _note(positions: dict[FieldPath, Position], table: FieldPath, key: FieldPath, at: Position) -> None:
    """Note where a field stands, and the tables that its dotted key opens on the way."""
    path = (*table, *key)
    for length in range(1, len(path) + 1):
        positions.setdefault(path[:length], at)


def _parts(key: str) -> FieldPath:
    return tuple(part.strip("\"'") for part in _PART.findall(key))
