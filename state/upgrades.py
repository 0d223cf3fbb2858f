"""The last upgrade of each app on each node, while it is watched: did its processes keep ending soon after?

Written with the end of an upgrade's step, and by what observes the node. Two hashes, since each has one writer: an
observation that was slow must not write an old upgrade over a new one. What an upgrade led to is decided by
`reconciler.crashes`; when Redis was lost, the node's ledger tells all but the ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from specs.digest import Digest
from state.documents import decode, encode
from state.store import Store

_KEPT = 5


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An upgrade that went well, `at` that time (seconds since the epoch), and what was in force before.

    `attempts` counts how often this digest was taken back already; `ends` are the times at which processes were seen
    to have ended with nobody asking for it.
    """

    app: str
    node: str
    at: float
    digest: str
    version: str = ""
    from_digest: str = ""
    from_version: str = ""
    attempts: int = 0
    ends: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ends:
    digest: str
    times: tuple[float, ...] = ()


class Upgrades:
    """Upgrades that are watched, in Redis."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = store.key("upgrades")
        self._ends = store.key("upgrade-ends")

    def all(self) -> dict[tuple[str, str], Upgrade]:
        """By app and node."""
        pipe = self._store.pipeline()
        pipe.hgetall(self._key)
        pipe.hgetall(self._ends)
        texts, ends = pipe.execute()
        found = {}
        for field, text in texts.items():
            upgrade = decode(Upgrade, text)
            if field in ends:
                upgrade = _with_ends(upgrade, decode(_Ends, ends[field]))
            found[upgrade.app, upgrade.node] = upgrade
        return found

    def put(self, upgrade: Upgrade, pipe: Any = None) -> None:
        """Watch `upgrade` instead of the one before it."""
        client = pipe if pipe is not None else self._store.client
        client.hset(self._key, _field(upgrade.app, upgrade.node), encode(upgrade))
        client.hdel(self._ends, _field(upgrade.app, upgrade.node))

    def drop(self, app: str, node: str, pipe: Any = None) -> None:
        """Watch no upgrade of `app` on `node` any more."""
        client = pipe if pipe is not None else self._store.client
        client.hdel(self._key, _field(app, node))
        client.hdel(self._ends, _field(app, node))

    def ended(self, node: str, ends: Mapping[str, str], at: float) -> None:
        """Processes of apps (app → digest) ended by themselves. Of apps that are not watched nothing is kept."""
        if not ends:
            return
        fields = [_field(app, node) for app in ends]
        watched = self._store.client.hmget(self._key, fields)
        before = self._store.client.hmget(self._ends, fields)
        for field, digest, upgrade, known in zip(fields, ends.values(), watched, before, strict=True):
            if upgrade is None or not _runs_like(decode(Upgrade, upgrade).digest, digest):
                continue
            old = decode(_Ends, known) if known else _Ends(digest)
            times = old.times if _runs_like(old.digest, digest) else ()
            # The first tells when it began, so it is never dropped.
            kept = (*times[:1], *times[1:][-(_KEPT - 2) :], at)
            self._store.client.hset(self._ends, field, encode(_Ends(digest, kept)))


def _with_ends(upgrade: Upgrade, ends: _Ends) -> Upgrade:
    if not _runs_like(ends.digest, upgrade.digest):
        return upgrade
    return replace(upgrade, ends=tuple(time for time in ends.times if time >= upgrade.at))


def _runs_like(one: str, other: str) -> bool:
    """Whether the same runs by both digests: a new description neither ends nor excuses anything."""
    return Digest.parse(one).runs_like(Digest.parse(other))


def _field(app: str, node: str) -> str:
    return f"{app}@{node}"
