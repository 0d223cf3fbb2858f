"""Redis dies, forgets, or both: no app is lost, none is started anew, and what was going on comes to its end."""

from __future__ import annotations

import shutil
from datetime import datetime

import pytest
from installation import Installation
from waiting import wait_for

pytestmark = pytest.mark.e2e

SLOW = {"NOOP_SLEEP": "1.5"}


def started(here: Installation) -> dict[str, datetime]:
    """Since when each app runs."""
    return {name: state.started_at for name, state in here.engine.runtime.current_state().items()}


def told(here: Installation, name: str) -> list[str]:
    """The apps of the events `name`."""
    return [event.app for event in here.engine.events.last(10_000) if event.name == name]


def until_deploying(here: Installation) -> None:
    """Wait until some deploy has begun."""
    wait_for(lambda: bool(told(here, "deploy.start")))


def until_synced(here: Installation) -> None:
    """Wait until everything is as Git says, and quiet."""
    wait_for(lambda: here.status()["status"] == "synced")
    here.settle()
    assert here.status()["status"] == "synced"


def five_apps(here: Installation, env: dict[str, str]) -> None:
    here.app("db", env=env)
    here.app("web", needs=("db",), env=env)
    for name in ("a", "b", "c"):
        here.app(name, env=env)
    here.commit()


def test_a_run_goes_on_when_redis_is_killed_and_started_again(here: Installation) -> None:
    five_apps(here, SLOW)
    here.start()
    until_deploying(here)
    here.kill("redis")
    here.start_redis()
    until_synced(here)
    assert sorted(started(here)) == ["a", "b", "c", "db", "web"]
    assert sorted(told(here, "deploy.stop")) == ["a", "b", "c", "db", "web"]
    assert {event.result for event in here.engine.events.last(1000) if event.name == "deploy.stop"} == {"ok"}


def test_a_redis_that_comes_back_empty_costs_no_app_its_uptime(here: Installation) -> None:
    five_apps(here, {})
    here.start()
    here.settle()
    before = started(here)
    here.kill("redis")
    shutil.rmtree(here.settings.redis_socket.parent / "appendonlydir")
    here.start_redis()
    assert here.engine.desired.head() is None
    until_synced(here)
    assert here.sync()["steps"] == []
    assert started(here) == before
    assert told(here, "deploy.start") == told(here, "upgrade.start") == told(here, "remove.start") == []


def test_after_flushall_everything_is_found_in_sync_without_being_asked(here: Installation) -> None:
    five_apps(here, {})
    here.start()
    here.settle()
    before = started(here)
    here.store.client.flushall()
    until_synced(here)
    assert started(here) == before
    assert told(here, "deploy.start") == told(here, "upgrade.start") == told(here, "remove.start") == []

    here.app("web", "2.0.0", needs=("db",))
    here.drop("a")
    here.commit()
    record = here.sync()
    assert (record["status"], {(step["app"], step["task"]) for step in record["steps"]}) == (
        "synced",
        {("web", "upgrade"), ("a", "remove")},
    )


def test_a_run_that_is_forgotten_half_way_is_done_by_another(here: Installation) -> None:
    five_apps(here, SLOW)
    here.start()
    until_deploying(here)
    here.store.client.flushall()
    until_synced(here)
    assert sorted(started(here)) == ["a", "b", "c", "db", "web"]
    assert here.engine.live.node(here.node) == here.engine.runtime.current_state()


def test_redis_may_be_away_for_a_while_with_nothing_going_on(here: Installation) -> None:
    five_apps(here, {})
    here.start()
    here.settle()
    before = started(here)
    here.kill("redis")
    here.cli("status", code=1)
    here.start_redis()
    here.app("web", "2.0.0", needs=("db",))
    here.commit()
    assert here.sync()["status"] == "synced"
    after = started(here)
    assert {name for name in after if after[name] != before[name]} == {"web"}
