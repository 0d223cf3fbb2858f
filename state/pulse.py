"""Times that tell whether the parts are alive: when beat ticked, when a sync ended, when the next one is due."""

from __future__ import annotations

from typing import Any

from state.store import Store


class Pulse:
    """Named times, seconds since the epoch."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = store.key("pulse")

    def set(self, name: str, value: float, pipe: Any = None) -> None:
        """Remember a time."""
        (pipe if pipe is not None else self._store.client).hset(self._key, name, repr(value))

    def get(self, *names: str) -> dict[str, float]:
        """Those of `names` that are known."""
        values = self._store.client.hmget(self._key, list(names))
        return {name: float(value) for name, value in zip(names, values, strict=True) if value is not None}
