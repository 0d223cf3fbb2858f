"""What happens to objects that outlive a reload: those of a class that was defined anew become instances of the new.

Only where Python can: same layout (`__slots__`, bases in C), found through the collector, and no enum, whose members
are compared by identity. What stays behind keeps its old class, which still works as it did. An object gets no new
attribute by this: `code_change` is the place for that.
"""

from __future__ import annotations

import enum
import gc
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any


class Moved:
    """Objects that were given their new class, and how to take that back."""

    def __init__(self) -> None:
        self._moved: list[tuple[Any, type]] = []
        self.left = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._moved)

    def move(self, pairs: Mapping[type, type]) -> None:
        """Give each living instance of a key the class that is its value."""
        if not pairs:
            return
        for found in gc.get_referrers(*pairs):
            old = type(found)
            new = pairs.get(old)
            if new is None:
                continue
            try:
                object.__setattr__(found, "__class__", new)
            except TypeError:  # another layout
                self.left += 1
            else:
                self._moved.append((found, old))

    def undo(self) -> None:
        """Give all of them their old class back."""
        for found, old in self._moved:
            object.__setattr__(found, "__class__", old)
        self._moved.clear()


def renewed(old: ModuleType, new: ModuleType) -> dict[type, type]:
    """The classes that `old` defined, with what they are called in `new`."""
    pairs: dict[type, type] = {}
    for before in _classes(vars(old), old.__name__, set()):
        after: Any = new
        for part in before.__qualname__.split("."):
            after = getattr(after, part, None)
        if isinstance(after, type) and after is not before and not issubclass(before, enum.Enum):
            pairs[before] = after
    return pairs


def _classes(namespace: Mapping[str, Any], module: str, seen: set[type]) -> Iterator[type]:
    for value in list(namespace.values()):
        if isinstance(value, type) and value.__module__ == module and value not in seen:
            seen.add(value)
            yield value
            yield from _classes(vars(value), module, seen)
