"""The main job, with real Redis, Celery, beat and git, and the runtime that runs nothing."""

from __future__ import annotations

import json

import pytest
from installation import Installation
from waiting import wait_for

pytestmark = pytest.mark.e2e


def order(here: Installation, name: str) -> list[str]:
    """The apps in the order in which their events `name` happened."""
    return [event.app for event in here.engine.events.last(1000) if event.name == name]


def test_apps_are_deployed_upgraded_reconfigured_and_removed_in_order(here: Installation) -> None:
    here.app("web", needs=("db", "cache"))
    here.app("db")
    here.app("cache", needs=("db",))
    here.commit()
    here.start()
    here.settle()
    assert order(here, "deploy.stop") == ["db", "cache", "web"]
    assert here.status()["status"] == "synced"

    here.app("db", "1.1.0")
    here.app("web", needs=("db", "cache"), env={"COLOUR": "blue"})
    here.commit()
    record = here.sync()
    assert {(step["app"], step["task"], step["state"]) for step in record["steps"]} == {
        ("db", "upgrade", "ok"),
        ("web", "reconfigure", "ok"),
    }
    assert here.live("db").version == "1.1.0"
    assert here.status()["status"] == "synced"

    for name in ("web", "cache"):
        here.drop(name)
    here.commit()
    here.sync()
    assert order(here, "remove.stop") == ["web", "cache"]
    assert list(here.status()["apps"]) == ["db"]


def test_a_failed_app_blocks_only_what_needs_it(here: Installation) -> None:
    here.app("db", env={"NOOP_FAIL": "deploy"})
    here.app("web", needs=("db",))
    here.app("proxy", needs=("web",))
    here.app("other")
    here.commit()
    here.start()
    here.settle()
    status = here.status()
    assert status["status"] == "degraded"
    assert {name: app["sync"] for name, app in status["apps"].items()} == {
        "db": "out_of_sync",
        "web": "blocked",
        "proxy": "blocked",
        "other": "synced",
    }
    assert status["apps"]["db"]["status"] == "failed"
    assert "db" in status["apps"]["proxy"]["message"]

    here.app("db")
    here.commit()
    assert here.sync()["status"] == "synced"


def test_an_invalid_spec_and_a_cycle_concern_their_own_apps_alone(here: Installation) -> None:
    here.app("web")
    here.app("good")
    here.commit()
    here.start()
    here.settle()
    here.write("web", "name: web\nversion: 1.10\n")
    here.app("a", needs=("b",))
    here.app("b", needs=("a",))
    here.app("good", "2.0.0")
    here.commit()
    here.sync()
    apps = here.status()["apps"]
    assert (apps["web"]["sync"], apps["web"]["version"], apps["web"]["status"]) == ("invalid", "1.0.0", "running")
    assert "a → b → a" in apps["a"]["message"]
    assert (apps["good"]["sync"], apps["good"]["version"]) == ("synced", "2.0.0")


def test_an_unhealthy_upgrade_is_rolled_back_and_never_told_as_a_success(here: Installation) -> None:
    here.app("web")
    here.commit()
    here.start()
    here.settle()
    here.app("web", "2.0.0", env={"NOOP_UNHEALTHY": "1"})
    here.commit()
    record = here.sync()
    assert record["status"] == "degraded"
    status = here.status()
    web = status["apps"]["web"]
    assert status["status"] == "degraded"
    assert (web["sync"], web["status"], web["health"]) == ("out_of_sync", "running", "healthy")
    assert (web["version"], web["desired_version"], web["reason"]) == ("1.0.0", "2.0.0", "RolledBack")
    assert [event.result for event in here.engine.events.last(50) if event.name == "upgrade.stop"] == ["rolled_back"]
    assert here.engine.history.of("web")[0].result == "rolled_back"
    here.sync()  # not tried again at once
    assert order(here, "upgrade.start") == ["web"]
    here.sync(force=True)
    assert order(here, "upgrade.start") == ["web", "web"]


def test_sync_delay_returns_the_record_of_the_run(here: Installation) -> None:
    here.app("web")
    revision = here.commit()
    here.start()
    here.settle()
    out = here.python(
        "import json; from tasks import sync, status; "
        "print(json.dumps([sync.delay().get(timeout=30), status()['status']]))"
    )
    record, status = json.loads(out)
    assert (record["revision"], record["status"], record["error"], status) == (revision, "synced", "", "synced")


def test_what_drifts_is_repaired_without_a_commit(here: Installation) -> None:
    here.app("web")
    here.commit()
    here.start()
    here.settle()
    here.engine.runtime.remove("web")
    wait_for(lambda: here.live("web") is not None)
    here.settle()
    assert here.status()["status"] == "synced"


def test_removing_everything_needs_to_be_acknowledged(here: Installation) -> None:
    for name in ("a", "b", "c"):
        here.app(name)
    here.commit()
    here.start()
    here.settle()
    for name in ("a", "b", "c"):
        here.drop(name)
    here.app("d")
    revision = here.commit()
    here.sync()
    apps = here.status()["apps"]
    assert {apps[name]["reason"] for name in ("a", "b", "c")} == {"RemovalBudget"}
    here.sync(allow_removals=revision)
    assert list(here.status()["apps"]) == ["d"]


def test_two_syncs_at_once_are_two_runs_one_after_the_other(here: Installation) -> None:
    here.app("web", env={"NOOP_SLEEP": "6"})
    here.commit()
    here.start()
    wait_for(lambda: "web" in order(here, "deploy.start"))
    asked = [here.ask(), here.ask()]
    wait_for(lambda: all(here.result(request) for request in asked))
    one, other = (here.result(request)["run"] for request in asked)
    assert one == other
    assert order(here, "deploy.start") == ["web"]


def test_the_newest_commit_wins_over_the_one_at_work(here: Installation) -> None:
    here.app("web", env={"NOOP_SLEEP": "30"})
    here.app("other", env={"NOOP_SLEEP": "2"})
    here.commit()
    here.start()
    wait_for(lambda: set(order(here, "deploy.start")) == {"web", "other"})
    here.app("web", "2.0.0")
    here.commit()
    here.sync()
    assert here.live("web").version == "2.0.0"
    results = {(e.app, e.result) for e in here.engine.events.last(100) if e.name == "deploy.stop"}
    assert ("web", "superseded") in results
    assert ("other", "superseded") not in results
