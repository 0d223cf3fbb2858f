"""`state.live` against a real Redis."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from specs.appstate import AppState
from state.live import Live
from state.store import Store


@pytest.fixture
def live(store: Store) -> Live:
    return Live(store)


def seen(name: str, node: str = "a", version: str = "1.0") -> AppState:
    started = datetime(2024, 5, 17, 12, 30, 1, 500, tzinfo=UTC)
    return AppState(name, version, "abc", "d1", "running", "healthy", node, 42, started_at=started, depends_on=("db",))


def test_what_nodes_saw_is_read_again_by_app_and_by_node(live: Live) -> None:
    assert live.states() == {}
    assert live.replace("a", {"web": seen("web"), "db": seen("db")}, 1.5)
    assert live.replace("b", {"web": seen("web", "b")}, 2.5)
    assert live.states() == {"web": {"a": seen("web"), "b": seen("web", "b")}, "db": {"a": seen("db")}}
    assert live.app("web") == {"a": seen("web"), "b": seen("web", "b")}
    assert live.app("none") == {}
    assert live.node("a") == {"db": seen("db"), "web": seen("web")}
    assert live.observed() == {"a": 1.5, "b": 2.5}


def test_what_was_written_before_there_were_limits_is_still_read(live: Live, store: Store) -> None:
    whole = replace(seen("web"), reason="OutOfMemory", limits={"memory": "cgroup v2"})
    live.put(whole)
    assert live.node("a") == {"web": whole}
    key = store.key("live", "a")
    document = json.loads(store.client.hget(key, "web"))
    del document["reason"], document["limits"]
    store.client.hset(key, "web", json.dumps(document, separators=(",", ":")))
    assert live.node("a") == {"web": seen("web")}


def test_the_same_again_is_no_news_but_its_time_is_remembered(live: Live) -> None:
    assert live.replace("a", {"web": seen("web"), "db": seen("db")}, 1.0)
    assert not live.replace("a", {"db": seen("db"), "web": seen("web")}, 2.0)
    assert live.observed() == {"a": 2.0}
    assert live.replace("a", {"web": seen("web", version="2.0"), "db": seen("db")}, 3.0)
    assert live.node("a")["web"].version == "2.0"


def test_what_is_no_longer_seen_is_forgotten(live: Live) -> None:
    live.replace("a", {"web": seen("web"), "db": seen("db")}, 1.0)
    assert live.replace("a", {"db": seen("db")}, 2.0)
    assert live.node("a") == {"db": seen("db")}
    assert live.replace("a", {}, 3.0)
    assert live.node("a") == {}
    assert not live.replace("a", {}, 4.0)
    assert live.observed() == {"a": 4.0}


def test_what_a_step_wrote_meanwhile_is_set_right_by_the_next_observation(live: Live) -> None:
    before = {"web": seen("web")}
    live.replace("a", before, 1.0)
    live.put(seen("web", version="2.0"))
    assert live.node("a")["web"].version == "2.0"
    assert live.replace("a", before, 2.0)
    assert live.node("a") == before
    live.drop("web", "a")
    assert live.node("a") == {}
    assert live.replace("a", before, 3.0)
    assert live.node("a") == before


def test_an_observation_that_began_before_a_step_ended_does_not_undo_what_that_wrote(live: Live) -> None:
    old = {"web": seen("web"), "db": seen("db")}
    live.replace("a", old, 1.0)
    began = time.time()
    live.put(seen("web", version="2.0"))
    live.put(seen("new"))
    live.drop("db", "a")
    now = {"web": seen("web", version="2.0"), "new": seen("new")}
    assert live.replace("a", {**old, "other": seen("other")}, 2.0, began)
    assert live.node("a") == {**now, "other": seen("other")}
    assert live.replace("a", now, 3.0, time.time())  # news once more, since not all of the last one counted
    assert live.node("a") == now
    assert not live.replace("a", now, 4.0, time.time())


def test_an_observation_that_was_overtaken_by_a_later_one_is_not_remembered(live: Live) -> None:
    began = time.time()
    now = {"web": seen("web", version="2.0")}
    assert live.replace("a", now, began + 2.0, began + 1.0)
    assert not live.replace("a", {"web": seen("web")}, began + 3.0, began)
    assert live.node("a") == now
    assert live.replace("a", {"web": seen("web")}, began + 4.0, began + 1.5)


def test_a_clock_set_back_far_holds_no_observation_up(live: Live) -> None:
    live.replace("a", {"web": seen("web", version="2.0")}, 10_000.0, 10_000.0)
    assert live.replace("a", {"web": seen("web")}, 5_000.0, 5_000.0)
    assert live.node("a") == {"web": seen("web")}
    assert live.replace("a", {}, 5_001.0, 5_001.0)


def test_what_a_step_wrote_before_a_clock_was_set_back_far_is_set_right_by_the_next_observation(live: Live) -> None:
    live.put(seen("web", version="2.0"))
    began = time.time() - 3600.0
    assert live.replace("a", {"web": seen("web")}, began + 1.0, began)
    assert live.node("a") == {"web": seen("web")}


def test_an_observation_can_be_made_news(live: Live) -> None:
    live.replace("a", {"web": seen("web")}, 1.0)
    live.unsettle("a")
    assert live.replace("a", {"web": seen("web")}, 2.0)


def test_writes_can_wait_in_a_pipeline(live: Live, store: Store) -> None:
    live.replace("a", {"web": seen("web"), "db": seen("db")}, 1.0)
    pipe = store.pipeline()
    live.put(seen("web", version="2.0"), pipe)
    live.drop("db", "a", pipe)
    assert live.node("a") == {"web": seen("web"), "db": seen("db")}
    pipe.execute()
    assert live.node("a") == {"web": seen("web", version="2.0")}


def test_a_forgotten_node_leaves_nothing(live: Live, store: Store) -> None:
    live.replace("a", {"web": seen("web")}, 1.0)
    live.forget("a")
    assert live.states() == {}
    assert list(store.client.scan_iter(f"{store.key('')}*")) == []


def test_what_was_touched_long_before_an_observation_is_forgotten(store: Store, live: Live) -> None:
    live.drop("old", "n1")
    store.client.zadd(store.key("live-touched", "n1"), {"old": 1.0})
    live.put(AppState("web", "1.0", node="n1"))
    live.replace("n1", {}, time.time(), time.time())
    assert set(store.client.zrange(store.key("live-touched", "n1"), 0, -1)) - {""} == {"web"}
