"""Upgrades that are watched, and the ends of processes since."""

from __future__ import annotations

from dataclasses import replace

from state.store import Store
from state.upgrades import Upgrade, Upgrades

UPGRADE = Upgrade("web", "n1", 100.0, "r2-e1-d1", "2.0.0", "r1-e1-d1", "1.0.0")


def test_ends_are_kept_of_what_is_watched_and_of_nothing_else(store: Store) -> None:
    upgrades = Upgrades(store)
    upgrades.put(UPGRADE)
    upgrades.ended("n1", {"web": UPGRADE.digest, "other": "r9-e9-d9"}, 110.0)
    upgrades.ended("n1", {"web": "r3-e1-d1"}, 111.0)
    upgrades.ended("n2", {"web": UPGRADE.digest}, 112.0)
    assert upgrades.all() == {("web", "n1"): replace(UPGRADE, ends=(110.0,))}


def test_the_first_end_and_the_last_ones_are_kept(store: Store) -> None:
    upgrades = Upgrades(store)
    upgrades.put(UPGRADE)
    for number in range(20):
        upgrades.ended("n1", {"web": UPGRADE.digest}, 110.0 + number)
    ends = upgrades.all()["web", "n1"].ends
    assert ends == (110.0, 126.0, 127.0, 128.0, 129.0)


def test_another_upgrade_begins_with_no_ends(store: Store) -> None:
    upgrades = Upgrades(store)
    upgrades.put(UPGRADE)
    upgrades.ended("n1", {"web": UPGRADE.digest}, 110.0)
    later = replace(UPGRADE, at=200.0, digest="r3-e1-d1")
    upgrades.put(later)
    assert upgrades.all()["web", "n1"] == later
    upgrades.put(replace(UPGRADE, at=300.0))
    upgrades.ended("n1", {"web": UPGRADE.digest}, 250.0)  # seen before, told late
    assert upgrades.all()["web", "n1"].ends == ()
    upgrades.drop("web", "n1")
    assert upgrades.all() == {}
    assert not store.client.exists(store.key("upgrade-ends"))


def test_what_is_written_with_a_step_is_not_written_before(store: Store) -> None:
    upgrades = Upgrades(store)
    pipe = store.pipeline()
    upgrades.put(UPGRADE, pipe=pipe)
    assert upgrades.all() == {}
    pipe.execute()
    assert upgrades.all() == {("web", "n1"): UPGRADE}
