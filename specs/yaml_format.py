"""YAML to plain data with positions. Plain texts take the fast way (`yaml_simple`), all others ruamel's parser
(`yaml_events`).

Values are built here from the parser's events, never by a constructor: no tag makes an object, and nesting,
size and what aliases expand to are bounded while reading. A file is one document, a mapping of fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from specs import yaml_simple
from specs.document import (
    MAX_DEPTH,
    MAX_NODES,
    Document,
    Fault,
    FieldPath,
    Position,
    check_characters,
    malformed,
    printable,
)
from specs.yaml_events import events
from specs.yaml_scalars import is_null, resolve

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"
_STANDARD_TAGS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}


def read_yaml(text: str, literal: frozenset[str] = frozenset()) -> Document:
    """The document in `text`. Words directly below the top-level fields in `literal` stay as written.

    Raises MalformedError with line and column.
    """
    simple = yaml_simple.read(text, literal)
    if simple is not None:
        data, positions = simple
        return Document(data, lambda: positions)
    return read_full(text, literal)


def read_full(text: str, literal: frozenset[str] = frozenset()) -> Document:
    """The same with the full parser, whatever the text holds."""
    builder = _Builder(literal)
    for event in events(text):
        builder.take(event)
    data = builder.finish()
    positions = builder.positions
    if "\\" in text:
        check_characters(data, lambda: positions)
    return Document(data, lambda: positions, tuple(builder.faults))


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read."""

    value: dict[str, Any] | list[Any]
    path: FieldPath
    before: int
    mark: Position
    anchor: str | None = None
    literal: bool = False
    height: int = 1
    key: str | None = None
    key_at: Position = (0, 0)
    key_is_merge: bool = False
    merges: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A value that aliases may repeat: how many values it holds, and how deep it goes."""

    value: Any
    nodes: int
    height: int


class _Builder:
    """Turns events into data, with a stack instead of recursion."""

    def __init__(self, literal: frozenset[str]) -> None:
        self.positions: dict[FieldPath, Position] = {}
        self.faults: list[Fault] = []
        self._literal = literal
        self._frames: list[_Frame] = []
        self._anchors: dict[str, _Anchor] = {}
        self._open_anchors: set[str] = set()
        self._nodes = 0
        self._documents = 0
        self._root: Any = None
        self._root_at: Position = (1, 1)

    def take(self, event: Event) -> None:
        """Account for one event."""
        at = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise malformed("holds more than one document; a file is one app", *at)
        elif isinstance(event, AliasEvent):
            self._alias(event, at)
        elif isinstance(event, NodeEvent):
            self._node(event, at)
        elif event.crepr in {"-MAP", "-SEQ"}:
            self._close()

    def finish(self) -> dict[str, Any]:
        """The whole document; raises MalformedError unless it is a mapping."""
        if self._documents == 0 or self._root is None:
            raise malformed("is empty; a spec needs at least name and version", 1, 1)
        if not isinstance(self._root, dict):
            kind = "a list" if isinstance(self._root, list) else "a single value"
            raise malformed(f"must be a mapping of fields such as `name: web`, not {kind}", *self._root_at)
        return self._root

    def _node(self, event: NodeEvent, at: Position) -> None:
        self._count(1, at)
        tag = _tag_of(event, at)
        frame = self._frames[-1] if self._frames else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._key(frame, event, at)
            return
        path = self._place(frame, at)
        if isinstance(event, ScalarEvent):
            value = _scalar(event, tag, literal=frame is not None and frame.literal)
            if event.anchor is not None:
                self._anchors[event.anchor] = _Anchor(value, 1, 0)
            self._attach(value, 0, at)
            return
        if len(self._frames) >= MAX_DEPTH:
            raise malformed(f"is nested more than {MAX_DEPTH} levels deep", *at)
        is_map = isinstance(event, MappingStartEvent)
        literal = is_map and len(self._frames) == 1 and frame is not None and frame.key in self._literal
        if event.anchor is not None:
            self._open_anchors.add(event.anchor)
        self._frames.append(_Frame({} if is_map else [], path, self._nodes - 1, at, event.anchor, literal))

    def _key(self, frame: _Frame, event: NodeEvent, at: Position) -> None:
        if not isinstance(event, ScalarEvent):
            raise malformed("a key must be a word, not a list or a mapping", *at)
        if not event.value and event.implicit[0]:
            raise malformed("a key is missing before this colon", *at)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchor(event.value, 1, 0)
        frame.key = _joined(event.value)
        frame.key_at = at
        frame.key_is_merge = event.value == "<<" and event.implicit[0]

    def _alias(self, event: AliasEvent, at: Position) -> None:
        frame = self._frames[-1] if self._frames else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            raise malformed("a key must be a word, not an alias", *at)
        name = event.anchor
        if name in self._open_anchors:
            raise malformed(f"alias `{printable(name)}` stands inside what it repeats", *at)
        anchor = self._anchors.get(name)
        if anchor is None:
            raise malformed(f"alias `{printable(name)}` has no anchor before it", *at)
        self._count(anchor.nodes, at)
        if len(self._frames) + anchor.height > MAX_DEPTH:
            raise malformed(f"is nested more than {MAX_DEPTH} levels deep", *at)
        self._place(frame, at)
        self._attach(anchor.value, anchor.height, at)

    def _count(self, nodes: int, at: Position) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise malformed(f"holds more than {MAX_NODES:,} values, aliases included", *at)

    def _place(self, frame: _Frame | None, at: Position) -> FieldPath:
        """The path of the value that comes next, its position noted."""
        if frame is None:
            self._root_at = at
            return ()
        if isinstance(frame.value, list):
            path: FieldPath = (*frame.path, len(frame.value))
            self.positions[path] = at
            return path
        path = (*frame.path, str(frame.key))
        if not frame.key_is_merge:
            self.positions.setdefault(path, frame.key_at)
        return path

    def _attach(self, value: Any, height: int, at: Position) -> None:
        """Put a finished value where it belongs."""
        if not self._frames:
            self._root = value
            return
        frame = self._frames[-1]
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.value, list):
            frame.value.append(value)
            return
        key, frame.key = str(frame.key), None
        if frame.key_is_merge:
            self._merge(frame, value, at)
        elif key in frame.value:
            first = self.positions[(*frame.path, key)][0]
            message = f"is given twice (first on line {first})"
            self.faults.append(Fault(message, *frame.key_at, path=(*frame.path, key)))
        else:
            frame.value[key] = value

    def _merge(self, frame: _Frame, value: Any, at: Position) -> None:
        merged = value if isinstance(value, list) else [value]
        if not all(isinstance(item, dict) for item in merged):
            raise malformed("`<<` takes a mapping, or a list of mappings", *at)
        self._count(sum(len(item) for item in merged), at)
        frame.merges.extend(merged)

    def _close(self) -> None:
        frame = self._frames.pop()
        if isinstance(frame.value, dict):
            for merged in frame.merges:
                for key, value in merged.items():
                    frame.value.setdefault(key, value)
        if frame.anchor is not None:
            self._open_anchors.discard(frame.anchor)
            self._anchors[frame.anchor] = _Anchor(frame.value, self._nodes - frame.before, frame.height)
        self._attach(frame.value, frame.height, frame.mark)


def _tag_of(event: NodeEvent, at: Position) -> str | None:
    """The standard tag of a node, None without one; raises MalformedError for any other."""
    tag = getattr(event, "tag", None)
    if tag is None or str(tag) == "!":
        return None if tag is None else f"{_TAG}str"
    if str(tag) not in _STANDARD_TAGS:
        raise malformed("this tag is not supported; write the value plainly", *at)
    kind = str(tag).removeprefix(_TAG)
    fits = {"map": MappingStartEvent, "seq": SequenceStartEvent}.get(kind, ScalarEvent)
    if not isinstance(event, fits):
        raise malformed(f"`!!{kind}` does not fit the value behind it", *at)
    return str(tag)


def _joined(text: str) -> str:
    """`text` with characters made of two escapes, as JSON writes them, put together."""
    if _SURROGATE.search(text):
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            return text  # a lone half, which `check_characters` reports
    return text


def _scalar(event: ScalarEvent, tag: str | None, *, literal: bool) -> Any:
    text = _joined(event.value)
    if tag is not None:
        return text if tag == f"{_TAG}str" else resolve(text)
    if not event.implicit[0] or (literal and not is_null(text)):
        return text
    return resolve(text)
