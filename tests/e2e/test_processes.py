"""Apps as real processes: deployed, upgraded, reconfigured, rolled back and removed by a whole Celeriac."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator

import psutil
import pytest
from machine import Machine
from waiting import is_running, wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture
def here() -> Iterator[Machine]:
    """A machine on which nothing runs yet."""
    with Machine() as made:
        yield made


def order(here: Machine, name: str) -> list[str]:
    """The apps in the order in which their events `name` happened."""
    return [event.app for event in here.engine.events.last(1000) if event.name == name]


def test_apps_go_up_change_and_go_down_in_the_order_of_their_needs(here: Machine) -> None:
    here.example("counter")
    here.example("ticker")
    here.web("counter", env={"GREETING": "guten Tag"})
    here.ticker()
    here.deployed()
    assert order(here, "deploy.stop") == ["counter", "ticker"]
    counter, ticker = here.pid("counter"), here.pid("ticker")
    assert psutil.Process(counter).create_time() < psutil.Process(ticker).create_time()
    assert here.live("counter").pid == counter
    assert here.get("counter")["greeting"] == "guten Tag"
    for name in ("counter", "ticker"):
        assert stat.S_IMODE((here.home / "apps" / name / "env").stat().st_mode) == 0o600

    here.web("counter", "1.1.0", env={"GREETING": "guten Tag"})
    here.commit()
    assert here.sync()["counts"] == {"ok": 1}
    assert here.get("counter", "/double")["version"] == "1.1.0"
    assert not is_running(counter)
    assert here.pid("ticker") == ticker
    counter = here.pid("counter")

    here.web("counter", "1.1.0", env={"GREETING": "bonjour"})
    here.commit()
    assert [step["task"] for step in here.sync()["steps"]] == ["reconfigure"]
    assert here.get("counter")["greeting"] == "bonjour"
    assert psutil.Process(here.pid("counter")).environ()["GREETING"] == "bonjour"
    assert here.pid("counter") != counter
    counter = here.pid("counter")

    here.drop("counter")
    here.drop("ticker")
    here.app("noted", "1.0.0")  # else everything would go, which nobody does by accident
    here.write("noted", "name: noted\nversion: 1.10\n")
    revision = here.commit()
    here.sync(allow_removals=revision)
    assert order(here, "remove.stop") == ["ticker", "counter"]
    assert not is_running(counter)
    assert not is_running(ticker)
    assert here.pids() == []


def test_a_version_that_is_never_healthy_is_rolled_back_and_why_says_what_happened(here: Machine) -> None:
    here.example("counter")
    here.web("counter", "1.1.0", grace="1s")
    here.deployed()
    here.web("counter", "1.2.0", grace="1s")
    here.commit()
    assert here.sync()["status"] == "degraded"
    assert here.get("counter", "/double")["version"] == "1.1.0"
    status = json.loads(here.cli("status", "--json", code=3))
    counter = status["apps"]["counter"]
    assert status["status"] == "degraded"
    assert (counter["sync"], counter["status"], counter["health"]) == ("out_of_sync", "running", "healthy")
    assert (counter["version"], counter["desired_version"], counter["reason"]) == ("1.1.0", "1.2.0", "RolledBack")
    assert counter["pid"] == here.pid("counter")
    why = json.loads(here.cli("why", "counter", "--json", code=3))
    assert "1.2.0" in why["explanation"]
    assert "rolled back" in why["explanation"]
    assert "GET /health answered 500" in why["message"]
    assert any("counting on" in entry["line"] for entry in why["log"])
    assert "spec changes" in why["next"]

    here.git("revert", "--no-edit", "HEAD")
    pid = here.pid("counter")
    assert here.sync()["status"] == "synced"
    assert here.pid("counter") == pid
    assert here.is_synced()


def test_an_app_that_is_killed_comes_back_by_itself(here: Machine) -> None:
    here.example("counter")
    here.web("counter")
    here.deployed()
    before = here.get("counter")["count"]
    pid = here.pid("counter")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in here.pids("counter") and len(here.pids("counter")) == 1)
    wait_for(lambda: here.is_synced() and here.status()["apps"]["counter"]["pid"] == here.pid("counter"))
    assert here.get("counter")["count"] == before + 1


def test_an_app_that_crashes_again_and_again_is_failed_with_its_last_lines_until_a_commit_mends_it(
    here: Machine,
) -> None:
    here.crashing("1.0.0")
    here.web("crashing")
    here.commit()
    here.start()
    wait_for(lambda: here.status()["apps"].get("crashing", {}).get("status") == "failed")
    app = here.status()["apps"]["crashing"]
    assert (app["sync"], app["health"]) == ("out_of_sync", "unhealthy")
    assert "no such table: users" in app["message"]
    assert "no such table: users" in here.cli("why", "crashing", code=3)

    here.gated("1.0.1", name="crashing")
    here.let("crashing", "open")
    here.web("crashing", "1.0.1", env={"OPEN": str(here.gate("crashing", "open"))})
    here.commit()
    assert here.sync()["status"] == "synced"
    app = here.status()["apps"]["crashing"]
    assert (app["sync"], app["status"], app["health"], app["version"]) == ("synced", "running", "healthy", "1.0.1")
    assert app["pid"] == here.pid("crashing")


def test_apps_outlive_celeriac_and_stop_with_down_apps(here: Machine) -> None:
    here.example("counter")
    here.web("counter")
    here.commit()
    here.cli("up", "--detach")
    try:
        wait_for(here.is_synced)
        pid = here.pid("counter")
        here.cli("down")
        assert here.pid("counter") == pid
        assert here.get("counter")["count"] == 1
        here.cli("up", "--detach")
        here.cli("sync", "--wait")
        assert here.status()["apps"]["counter"]["pid"] == pid == here.pid("counter")
    finally:
        here.cli("down", "--apps")
    assert here.pids() == []
    assert not is_running(pid)
