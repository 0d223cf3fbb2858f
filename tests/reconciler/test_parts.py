"""The parts, each made when it is first used."""

from __future__ import annotations

from pathlib import Path

import pytest

from celeriac.settings import Settings
from reconciler.ledger import KEPT, Entry
from reconciler.parts import Parts
from state.store import Store
from state.unavailable import StateUnavailable

NAMES = sorted(name for name, part in vars(Parts).items() if hasattr(part, "func"))
ON_DISK = {"vault", "ledger"}


@pytest.mark.parametrize("name", NAMES)
def test_a_part_is_made_once_and_needs_no_redis_to_be_made(tmp_path: Path, name: str) -> None:
    parts = Parts(Settings(home=tmp_path, redis_url=f"unix://{tmp_path}/none.sock", node="n1"))
    assert getattr(parts, name) is getattr(parts, name)
    assert vars(parts).keys() <= {"settings", "store", name}
    assert ("store" in vars(parts)) is (name not in ON_DISK)


def test_what_is_used_without_redis_says_so_and_what_is_on_disk_goes_on(tmp_path: Path) -> None:
    parts = Parts(Settings(home=tmp_path, redis_url=f"unix://{tmp_path}/none.sock", node="n1"))
    with pytest.raises(StateUnavailable) as caught:
        parts.holds.suspensions()
    assert caught.value.reason == "StateUnavailable"
    assert parts.ledger.of("web") == []
    assert not any(tmp_path.iterdir())


def test_all_parts_have_the_one_connection_and_its_prefix(redis_url: str, store: Store, tmp_path: Path) -> None:
    parts = Parts(Settings(home=tmp_path, redis_url=redis_url, key_prefix=store.prefix, node="n1"))
    try:
        parts.holds.allow_removals("c0ffee")
        assert store.client.get(store.key("removals_allowed")) == "c0ffee"
        own = [getattr(parts, name) for name in NAMES if name not in ON_DISK | {"store"}]
        assert {id(one._store) for one in own} == {id(parts.store)}
    finally:
        parts.store.close()


@pytest.mark.parametrize(("kept", "remembered"), [(1, KEPT), (KEPT + 5, KEPT + 5)])
def test_the_ledger_remembers_every_release_that_is_kept(tmp_path: Path, kept: int, remembered: int) -> None:
    ledger = Parts(Settings(home=tmp_path, keep_releases=kept)).ledger
    for number in range(remembered + 5):
        ledger.add("web", Entry(f"r{number}-e-d", "1.0", 1.0))
    assert len(ledger.of("web")) == remembered
