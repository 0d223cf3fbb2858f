"""What the ledger on disk keeps when Redis loses everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from workbench import Workbench

from reconciler.asking import ask_for_steps, stamp
from reconciler.crashes import WATCHED
from reconciler.ledger import Entry
from reconciler.observe import observe
from reconciler.remember import Memory, memory_of
from reconciler.steps import manual_step
from specs.appstate import AppState

STATE = AppState("web", "2.0.0", digest="r2-e1-d1", status="running", health="healthy", node="n1")
OLD = Entry("r1-e1-d1", "1.0.0", 900.0)


def test_a_young_upgrade_is_watched_again_and_an_old_one_is_not() -> None:
    ledger = [Entry("r2-e1-d1", "2.0.0", 1000.0, action="upgrade"), OLD]
    upgrade = memory_of(ledger, STATE, 1000.0 + WATCHED).upgrade
    assert upgrade is not None
    assert (upgrade.digest, upgrade.from_digest, upgrade.from_version) == ("r2-e1-d1", "r1-e1-d1", "1.0.0")
    assert memory_of(ledger, STATE, 1001.0 + WATCHED) == Memory()
    assert memory_of(ledger[1:], STATE, 1000.0) == Memory()
    assert memory_of([], STATE, 1000.0) == Memory()


def test_what_is_not_in_force_any_more_is_not_remembered() -> None:
    ledger = [Entry("r2-e1-d1", "2.0.0", 1000.0, refused="r3-e1-d1", by_hand=True), OLD]
    assert memory_of(ledger, STATE, 1000.0).hold is not None
    assert memory_of(ledger, replace(STATE, digest="r2-e1-d2"), 1000.0).hold is not None  # only its description
    assert memory_of(ledger, replace(STATE, digest="r3-e1-d1"), 1000.0) == Memory()


def lose_redis(bench: Workbench) -> None:
    client = bench.engine.store.client
    client.delete(*client.scan_iter(f"{bench.engine.store.key('')}*"))
    bench.sent.clear()
    bench.node("n1")


def by_hand(bench: Workbench, **fields: Any) -> None:
    state = bench.engine.live.app("web")["n1"]
    hold = {"digest": bench.engine.desired.digest("web"), "reason": "rolled back by hand"}
    step = manual_step(
        "rollback", "web", "n1", stamp(), from_digest=state.digest, from_version=state.version, payload={"hold": hold}
    )
    ask_for_steps(bench.engine, [step])
    bench.work()


def upgraded(bench: Workbench, *versions: str, **env: str) -> None:
    for version in versions:
        bench.app("web", version, **env)
        bench.commit()
        bench.sync()


def test_a_roll_back_by_hand_holds_after_redis_was_lost_until_the_spec_changes(bench: Workbench) -> None:
    upgraded(bench, "1.0.0", "2.0.0")
    by_hand(bench)
    assert bench.live("web").version == "1.0.0"
    lose_redis(bench)
    bench.sync()
    assert bench.live("web").version == "1.0.0"
    assert bench.status()["apps"]["web"]["reason"] == "HeldByHand"
    upgraded(bench, "3.0.0")
    assert bench.live("web").version == "3.0.0"
    lose_redis(bench)
    bench.sync()
    assert bench.status()["apps"]["web"]["sync"] == "synced"


def test_what_was_rolled_back_is_not_tried_at_once_after_redis_was_lost(bench: Workbench) -> None:
    upgraded(bench, "1.0.0")
    upgraded(bench, "2.0.0", NOOP_UNHEALTHY="1")
    before = bench.engine.outcomes.all()["web", "n1"]
    lose_redis(bench)
    assert bench.sync()["steps"] == []
    after = bench.engine.outcomes.all()["web", "n1"]
    assert (after.digest, after.not_before, after.attempts) == (before.digest, before.not_before, before.attempts)
    assert "NOOP_UNHEALTHY" in bench.status()["apps"]["web"]["message"]


def test_a_crash_loop_after_an_upgrade_is_taken_back_though_redis_was_lost_in_between(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded(bench, "1.0.0", "2.0.0")
    lose_redis(bench)
    bench.sync()
    given_up = replace(bench.live("web"), status="failed", health="unhealthy", message="given up")
    bench.engine.live.put(given_up)
    assert [step["action"] for step in bench.sync()["steps"]] == ["rollback"]
    assert bench.live("web").version == "1.0.0"


def test_what_redis_knows_itself_stays(bench: Workbench) -> None:
    upgraded(bench, "1.0.0", "2.0.0")
    by_hand(bench)
    hold = bench.engine.holds.holds()["web"]
    bench.engine.live.forget("n1")
    observe(bench.engine)
    assert bench.engine.holds.holds() == {"web": hold}
