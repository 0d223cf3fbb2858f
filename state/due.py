"""What must happen at a later time: back-offs, suspensions that end. A sweep asks what is due; no message waits.

A countdown of Celery's is no place for this: such a message is delivered again at each visibility timeout.
"""

from __future__ import annotations

from typing import Any

from state.store import Store


class Due:
    """Names with times, in Redis."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = store.key("due")

    def schedule(self, name: str, at: float, pipe: Any = None) -> None:
        """Remember `name` for the time `at` (seconds since the epoch); a time before replaced."""
        (pipe if pipe is not None else self._store.client).zadd(self._key, {name: at})

    def due(self, now: float) -> list[str]:
        """The names whose time has come, earliest first."""
        return list(self._store.client.zrangebyscore(self._key, "-inf", now))

    def clear(self, *names: str, pipe: Any = None) -> None:
        """Forget `names`."""
        if names:
            (pipe if pipe is not None else self._store.client).zrem(self._key, *names)

    def clear_until(self, now: float, pipe: Any = None) -> None:
        """Forget what was due by `now`; what was scheduled anew for later meanwhile stays."""
        (pipe if pipe is not None else self._store.client).zremrangebyscore(self._key, "-inf", now)

    def next(self) -> float | None:
        """When the next one is due."""
        first = self._store.client.zrange(self._key, 0, 0, withscores=True)
        return float(first[0][1]) if first else None
