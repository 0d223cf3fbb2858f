"""The last health checks of each app on each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from state.documents import decode, encode
from state.store import Store


@dataclass(frozen=True, slots=True)
class HealthRecord:
    """One app's health on one node: `failures` in a row; `checked_at` is seconds since the epoch.

    `asked_at` is later than that while somebody is asking.
    """

    ok: bool
    failures: int = 0
    checked_at: float = 0.0
    message: str = ""
    digest: str = ""
    asked_at: float = 0.0


class HealthBook:
    """Health records, by node and app."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, node: str) -> dict[str, HealthRecord]:
        """app → its last record on `node`."""
        texts = self._store.client.hgetall(self._key(node))
        return {app: decode(HealthRecord, text) for app, text in texts.items()}

    def write(self, node: str, records: Mapping[str, HealthRecord], gone: Iterable[str] = ()) -> None:
        """Remember `records` and forget the apps `gone`, in one round trip."""
        pipe = self._store.pipeline()
        for app in gone:
            pipe.hdel(self._key(node), app)
        if records:
            pipe.hset(self._key(node), mapping={app: encode(record) for app, record in records.items()})
        pipe.execute()

    def _key(self, node: str) -> str:
        return self._store.key("health", node)
