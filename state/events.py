"""The events of DESIGN section 7 in a capped Redis stream."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from state.documents import decode, encode
from state.store import Store

_BLOCK_MS = 2000  # below the socket's time-out
_PAGE = 1000
KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `time` is seconds since the epoch, `duration` seconds (stop events only)."""

    name: str
    time: float = 0.0
    app: str = ""
    node: str = ""
    revision: str = ""
    run: str = ""
    result: str = ""
    error: str = ""
    duration: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""


class Events:
    """The last events; about `keep` of them."""

    def __init__(self, store: Store, keep: int = KEPT) -> None:
        self._store = store
        self._key = store.key("events")
        self._keep = keep

    def emit(self, *events: Event, pipe: Any = None) -> None:
        """Add events, in one round trip."""
        target = pipe if pipe is not None else self._store.pipeline()
        for event in events:
            target.xadd(self._key, {"event": encode(event)}, maxlen=self._keep, approximate=True)
        if pipe is None and events:
            target.execute()

    def last(self, count: int = 100, app: str | None = None) -> list[Event]:
        """The last `count` events, of one app or of all, oldest first."""
        found: list[Event] = []
        end = "+"
        while len(found) < count:
            entries = self._store.client.xrevrange(self._key, max=end, count=min(_PAGE, max(count, 100)))
            found += [event for event in map(_event, entries) if app is None or event.app == app]
            if not entries:
                break
            end = f"({entries[-1][0]}"
        return found[:count][::-1]

    def follow(self, after: str = "$", timeout: float | None = None) -> Iterator[Event]:
        """Each event after the id `after` (`$`: from now on) as it comes; ends after `timeout` seconds without one."""
        if after == "$":
            newest = self._store.client.xrevrange(self._key, count=1)
            after = newest[0][0] if newest else "0-0"
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _BLOCK_MS if deadline is None else min(_BLOCK_MS, int((deadline - time.monotonic()) * 1000))
            if left <= 0:
                return
            for _, entries in self._store.client.xread({self._key: after}, block=left) or ():
                for entry in entries:
                    after = entry[0]
                    yield _event(entry)
                if timeout is not None:
                    deadline = time.monotonic() + timeout


def _event(entry: tuple[str, Mapping[str, str]]) -> Event:
    id_, fields = entry
    return replace(decode(Event, fields["event"]), id=id_)
