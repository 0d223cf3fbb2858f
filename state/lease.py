"""Leases with fencing tokens: at most one holder of a resource, and a late one is told from the present one.

After Kleppmann's fencing tokens: each lease of a resource has a greater token than any before, also after
Redis lost everything, since a token is at least the time in microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from celeriac.errors import CeleriacError
from state.store import Store


class LeaseLost(CeleriacError):  # noqa: N818 - an outcome, not a fault
    """What was claimed has meanwhile been given to another: this work no longer counts."""

    reason = "LeaseLost"


@dataclass(frozen=True, slots=True)
class Lease:
    """`resource` belongs to `owner` until it ends or is released."""

    resource: str
    token: int
    owner: str


class Leases:
    """The leases that are not part of a run (those are taken by `Runs.claim`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def acquire(self, resource: str, owner: str, ttl: float) -> Lease | None:
        """Take `resource` for `ttl` seconds, or None while another owner holds it. The holder itself gets it anew."""
        token = self._store.script("lease_acquire")(
            keys=[self._key(resource), self._store.key("token")], args=[owner, int(ttl * 1000)]
        )
        return Lease(resource, int(token), owner) if token else None

    def renew(self, lease: Lease, ttl: float) -> bool:
        """Hold it for another `ttl` seconds; False when it is no longer ours."""
        return bool(
            self._store.script("lease_renew")(
                keys=[self._key(lease.resource)], args=[f"{lease.token} {lease.owner}", int(ttl * 1000)]
            )
        )

    def release(self, lease: Lease) -> bool:
        """Give it back; False when it was no longer ours."""
        return bool(
            self._store.script("lease_renew")(
                keys=[self._key(lease.resource)], args=[f"{lease.token} {lease.owner}", 0]
            )
        )

    def holder(self, resource: str) -> Lease | None:
        """Who holds `resource` now."""
        value = self._store.client.get(self._key(resource))
        if not value:
            return None
        token, _, owner = value.partition(" ")
        return Lease(resource, int(token), owner)

    def _key(self, resource: str) -> str:
        return self._store.key("lease", resource)
