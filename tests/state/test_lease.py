"""`state.lease` against a real Redis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from waiting import wait_for

from state.lease import Lease, Leases
from state.store import Store


def test_one_owner_at_a_time_holds_a_resource(store: Store) -> None:
    leases = Leases(store)
    mine = leases.acquire("web@a", "me", 30)
    assert mine is not None
    assert leases.holder("web@a") == mine
    assert leases.acquire("web@a", "other", 30) is None
    assert leases.acquire("db@a", "other", 30) is not None
    assert leases.release(mine)
    assert leases.holder("web@a") is None
    theirs = leases.acquire("web@a", "other", 30)
    assert theirs is not None
    assert theirs.token > mine.token


def test_of_many_that_ask_at_once_one_gets_it(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = [lease for lease in pool.map(lambda n: Leases(store).acquire("web@a", f"o{n}", 30), range(40)) if lease]
    assert len(got) == 1


def test_the_holder_gets_it_anew_and_its_older_token_no_longer_counts(store: Store) -> None:
    leases = Leases(store)
    first = leases.acquire("web@a", "me: with spaces", 30)
    second = leases.acquire("web@a", "me: with spaces", 30)
    assert first is not None
    assert second is not None
    assert second.token > first.token
    assert not leases.renew(first, 30)
    assert not leases.release(first)
    assert leases.holder("web@a") == second


def test_a_lease_ends_by_itself_unless_it_is_renewed(store: Store) -> None:
    leases = Leases(store)
    kept, left = leases.acquire("kept", "me", 0.2), leases.acquire("left", "me", 0.2)
    assert kept is not None
    assert left is not None
    assert leases.renew(kept, 60)
    wait_for(lambda: leases.holder("left") is None)
    assert leases.holder("kept") == kept
    assert store.client.pttl(store.key("lease", "kept")) > 30_000
    assert not leases.renew(left, 60), "what ended may be another's by now"
    assert not leases.release(left)


def test_a_late_holder_can_neither_renew_nor_release_what_another_has(store: Store) -> None:
    leases = Leases(store)
    late = leases.acquire("web@a", "late", 30)
    assert late is not None
    store.client.delete(store.key("lease", "web@a"))
    present = leases.acquire("web@a", "present", 30)
    assert not leases.renew(late, 30)
    assert not leases.release(late)
    assert leases.holder("web@a") == present


def test_tokens_grow_also_after_redis_lost_everything(store: Store) -> None:
    tokens = []
    for _ in range(3):
        lease = Leases(store).acquire("web@a", "me", 30)
        assert isinstance(lease, Lease)
        tokens.append(lease.token)
        store.client.delete(store.key("token"), store.key("lease", "web@a"))
    store.client.set(store.key("token"), tokens[-1] + 10**12)  # a clock that was put back
    lease = Leases(store).acquire("web@a", "me", 30)
    assert lease is not None
    tokens.append(lease.token)
    assert tokens == sorted(set(tokens))
    assert tokens[-1] == tokens[-2] + 10**12 + 1
