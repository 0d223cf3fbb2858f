"""A reader for the plain part of YAML that nearly every spec keeps to, some twenty times as fast as the full one.

It knows block mappings, lists of words, one-line `[a, b]` and `{a: b}`, plain and simply quoted words and
comments. Whatever else a text holds makes it answer None, and `yaml_format` reads the text instead: so
this module reports no fault and decides nothing alone. A property test holds both to the same answers.
"""

from __future__ import annotations

import re
from typing import Any, cast

from specs.document import MAX_NODES, FieldPath, Position
from specs.yaml_scalars import Scalar, is_null, resolve

_DEEPEST = 12
_LONGEST = MAX_NODES  # characters: no text of that length can hold too many values
_UNUSUAL = re.compile(r"[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufdcf\ufdf0-\ufefe\uff00-\ufffc]")
_LINE = re.compile(r"( *)(?:(-) +(?=[^ ])|([A-Za-z_][A-Za-z0-9_.-]*):(?: +|$))?(.*)")
_BLANK = re.compile(r" *(?:#.*)?")
_QUOTED = re.compile(r"""(?:"([^"\\]*)"|'([^']*)') *(?: #.*)?""")
_PLAIN_START = re.compile(r"[A-Za-z0-9_./+~$(=^;\\\xa1-\uffef]|-[^ ]")
_COMMENT_AFTER_FLOW = re.compile(r" *(?: #.*)?")
_WORD = r"""(?:"[^"\\]*"|'[^']*'|[A-Za-z0-9_./][A-Za-z0-9_./+=@%~-]*)"""
_FLOW_LIST = re.compile(rf"\[ *(?:{_WORD}(?: *, *{_WORD})*)? *\]")
_FLOW_PAIR = rf"[A-Za-z_][A-Za-z0-9_.-]*: +{_WORD}"
_FLOW_MAP = re.compile(rf"\{{ *(?:{_FLOW_PAIR}(?: *, *{_FLOW_PAIR})*)? *\}}")
_ONE_WORD = re.compile(_WORD)
_ONE_PAIR = re.compile(rf"([A-Za-z_][A-Za-z0-9_.-]*): +({_WORD})")


class _UnusualError(Exception):
    """The text holds something that only the full reader knows. Never leaves this module."""


class _Block:
    """One mapping or list that is being read: its indentation, and the key that waits for its value."""

    __slots__ = ("indent", "literal", "path", "value", "waiting")

    def __init__(self, indent: int, path: FieldPath, value: dict[str, Any] | list[Any], literal: bool) -> None:
        self.indent = indent
        self.path = path
        self.value = value
        self.literal = literal
        self.waiting: str | None = None


def read(text: str, literal: frozenset[str]) -> tuple[dict[str, Any], dict[FieldPath, Position]] | None:
    """The mapping in `text` and the position of each field, or None where the full reader must look.

    Words directly below the top-level fields named in `literal` stay as they are written.
    """
    if len(text) > _LONGEST or _UNUSUAL.search(text):
        return None
    try:
        return _read(text, literal)
    except _UnusualError:
        return None


def _read(text: str, literal: frozenset[str]) -> tuple[dict[str, Any], dict[FieldPath, Position]]:
    top: dict[str, Any] = {}
    positions: dict[FieldPath, Position] = {}
    blocks = [_Block(0, (), top, literal=False)]
    for number, line in enumerate(text.split("\n"), start=1):
        if _BLANK.fullmatch(line) or (number == 1 and line == "---"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or (match[2] is None and match[3] is None):
            raise _UnusualError
        indent = len(match[1])
        block = _block_at(blocks, indent, is_item=match[2] is not None, literal=literal)
        rest = match[4]
        if match[2] is not None:
            items = block.value
            if not isinstance(items, list) or rest[0] == "#":
                raise _UnusualError
            path = (*block.path, len(items))
            # The full reader points at the item itself, behind the dash.
            positions[path] = (number, match.start(4) + 1)
            items.append(_inline(rest, block, path, positions, number, match.start(4)))
            continue
        fields, key = block.value, match[3]
        if not isinstance(fields, dict) or key in fields:
            raise _UnusualError
        path = (*block.path, key)
        positions[path] = (number, indent + 1)
        if not rest or rest[0] == "#":
            block.waiting = key
            fields[key] = None
        else:
            fields[key] = _inline(rest, block, path, positions, number, match.start(4))
    if not top:
        raise _UnusualError
    return top, positions


def _block_at(blocks: list[_Block], indent: int, *, is_item: bool, literal: frozenset[str]) -> _Block:
    """The block that a line indented by `indent` belongs to, opening or closing blocks as needed."""
    block = blocks[-1]
    key = block.waiting
    if key is not None and (indent > block.indent or (is_item and indent == block.indent)):
        value: dict[str, Any] | list[Any] = [] if is_item else {}
        cast("dict[str, Any]", block.value)[key] = value
        block.waiting = None
        inner = _Block(indent, (*block.path, key), value, literal=len(blocks) == 1 and key in literal and not is_item)
        blocks.append(inner)
        if len(blocks) > _DEEPEST:
            raise _UnusualError
        return inner
    block.waiting = None
    while indent < block.indent or (not is_item and indent == block.indent and isinstance(block.value, list)):
        blocks.pop()
        if not blocks:
            raise _UnusualError
        block = blocks[-1]
    if indent != block.indent:
        raise _UnusualError
    return block


def _inline(
    rest: str, block: _Block, path: FieldPath, positions: dict[FieldPath, Position], number: int, column: int
) -> Any:
    """The value that stands on the same line as its key or dash."""
    first = rest[0]
    if first in "\"'":
        quoted = _QUOTED.fullmatch(rest)
        if quoted is None:
            raise _UnusualError
        return quoted[1] if quoted[2] is None else quoted[2]
    if first == "[":
        return _flow_list(rest, path, positions, number, column)
    if first == "{":
        return _flow_map(rest, path, positions, number, column)
    if not _PLAIN_START.match(rest):
        raise _UnusualError
    word = rest.partition(" #")[0].rstrip(" ")
    if ": " in word or word[-1] == ":":
        raise _UnusualError
    if block.literal and not is_null(word):
        return word
    return resolve(word)


def _flow_list(
    rest: str, path: FieldPath, positions: dict[FieldPath, Position], number: int, column: int
) -> list[Scalar]:
    match = _FLOW_LIST.match(rest)
    if match is None or not _COMMENT_AFTER_FLOW.fullmatch(rest, match.end()):
        raise _UnusualError
    items: list[Scalar] = []
    for index, word in enumerate(_ONE_WORD.finditer(rest, 1, match.end() - 1)):
        positions[(*path, index)] = (number, column + word.start() + 1)
        items.append(_word(word[0]))
    return items


def _flow_map(
    rest: str, path: FieldPath, positions: dict[FieldPath, Position], number: int, column: int
) -> dict[str, Scalar]:
    match = _FLOW_MAP.match(rest)
    if match is None or not _COMMENT_AFTER_FLOW.fullmatch(rest, match.end()) or len(path) < 2:
        raise _UnusualError  # directly below the top, words may have to stay as written
    pairs: dict[str, Scalar] = {}
    for pair in _ONE_PAIR.finditer(rest, 1, match.end() - 1):
        if pair[1] in pairs:
            raise _UnusualError
        positions[(*path, pair[1])] = (number, column + pair.start() + 1)
        pairs[pair[1]] = _word(pair[2])
    return pairs


def _word(text: str) -> Scalar:
    return text[1:-1] if text[0] in "\"'" else resolve(text)
