"""Leases are held for as long as the work takes, and lost ones are noticed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from waiting import wait_for

from reconciler.keeper import Keeper
from reconciler.steps import PULL
from state.runs import Runs
from state.steps import Claim, Refused
from state.store import Store
from state.unavailable import StateUnavailable

TTL = 0.3


def claimed(runs: Runs, owner: str = "me") -> Claim:
    run = runs.request("hand", PULL).run
    claim = runs.claim(run, "pull", owner, TTL)
    assert isinstance(claim, Claim)
    return claim


def test_a_lease_is_held_beyond_its_time_and_let_go_with_the_block(store: Store) -> None:
    runs = Runs(store)
    claim = claimed(runs)
    renewed: list[int] = []
    with Keeper(runs, TTL).keep(claim) as kept:
        key = next(iter(store.client.scan_iter(f"{store.key('lease', '')}*")))
        wait_for(lambda: renewed.append(store.client.pttl(key)) or _rises(renewed) >= 3)
        assert not kept.lost
        assert runs.claim(claim.run, "pull", "another", TTL) == Refused("Running")
    wait_for(lambda: not store.client.exists(key))


def test_a_lease_that_another_took_is_lost(store: Store) -> None:
    runs = Runs(store)
    claim = claimed(runs)
    with Keeper(runs, TTL).keep(claim) as kept:
        runs.give_back(claim)
        runs.claim(claim.run, "pull", "another", 15)
        wait_for(lambda: kept.lost)


def test_while_redis_does_not_answer_nothing_is_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(store)
    claim = claimed(runs)
    renew, asked = runs.renew, []

    def flaky(claim: Claim, ttl: float) -> bool:
        asked.append(claim)
        if len(asked) < 3:
            raise StateUnavailable("away")
        return renew(claim, ttl)

    monkeypatch.setattr(runs, "renew", flaky)
    with Keeper(runs, 0.15).keep(claim) as kept:
        wait_for(lambda: len(asked) > 3)
        assert not kept.lost


def _rises(values: list[int]) -> int:
    return sum(1 for one, other in pairwise(values) if other > one)
