"""What people said by hand that a sync must respect: suspensions, and holds after a manual roll-back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from state.documents import decode, encode
from state.store import Store

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Suspension:
    """Leave an app, or everything, as it is until the time `until` (0: until resumed)."""

    until: float = 0.0
    reason: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep `version` of `app` in force for as long as its spec in Git has the digest `digest`."""

    app: str
    digest: str = ""
    version: str = ""
    at: float = 0.0
    reason: str = ""


class Holds:
    """Suspensions, holds, acknowledged removals, and removed apps whose releases are kept for a while."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def suspend(self, app: str | None, suspension: Suspension) -> None:
        """Suspend one app, or everything (None)."""
        self._store.client.hset(self._store.key("suspensions"), app or EVERYTHING, encode(suspension))

    def resume(self, app: str | None) -> bool:
        """End a suspension; False when there was none."""
        return bool(self._store.client.hdel(self._store.key("suspensions"), app or EVERYTHING))

    def suspensions(self) -> dict[str, Suspension]:
        """By app; `*` stands for everything."""
        texts = self._store.client.hgetall(self._store.key("suspensions"))
        return {app: decode(Suspension, text) for app, text in texts.items()}

    def hold(self, hold: Hold, pipe: Any = None) -> None:
        """Keep what was done to `hold.app` by hand until its spec changes."""
        (pipe if pipe is not None else self._store.client).hset(self._store.key("holds"), hold.app, encode(hold))

    def holds(self) -> dict[str, Hold]:
        """By app."""
        return {app: decode(Hold, text) for app, text in self._store.client.hgetall(self._store.key("holds")).items()}

    def release(self, app: str, pipe: Any = None) -> None:
        """End a hold."""
        (pipe if pipe is not None else self._store.client).hdel(self._store.key("holds"), app)

    def allow_removals(self, revision: str) -> None:
        """Remember that the removals of `revision` are acknowledged."""
        self._store.client.set(self._store.key("removals_allowed"), revision)

    def set_pending_removals(self, apps: Iterable[str], pipe: Any) -> None:
        """Remember whose removal waits to be acknowledged, in place of those before."""
        key = self._store.key("pending_removals")
        names = sorted(apps)
        pipe.delete(key)
        if names:
            pipe.sadd(key, *names)

    def pending_removals(self) -> frozenset[str]:
        """The apps whose removal waits to be acknowledged."""
        return frozenset(self._store.client.smembers(self._store.key("pending_removals")))

    def removals_allowed(self) -> str:
        """The revision whose removals are acknowledged; empty for none."""
        return self._store.client.get(self._store.key("removals_allowed")) or ""
