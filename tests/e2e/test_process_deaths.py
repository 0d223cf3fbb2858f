"""What dies on a machine with real apps: the supervisor, all of Redis' memory, the worker at any point of its work.

Each time the apps are there once, and nobody has to do anything.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from machine import Machine
from waiting import is_running, wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture
def here() -> Iterator[Machine]:
    """A machine on which nothing runs yet."""
    with Machine() as made:
        yield made


def test_a_killed_supervisor_comes_back_with_one_copy_of_each_app(here: Machine) -> None:
    here.example("counter")
    here.example("ticker")
    here.web("counter")
    here.ticker()
    here.deployed()
    before = {here.pid("counter"), here.pid("ticker")}
    supervisor = here.supervisor_pid()
    os.kill(supervisor, signal.SIGKILL)
    most = 0

    def healed() -> bool:
        nonlocal most
        counts = [len(here.pids(name)) for name in ("counter", "ticker")]
        most = max(most, *counts)
        if counts != [1, 1] or not here.is_synced():
            return False
        apps = here.status()["apps"]
        return all(apps[name]["pid"] == here.pid(name) for name in ("counter", "ticker"))

    wait_for(lambda: not is_running(supervisor))
    wait_for(lambda: before.isdisjoint(here.pids()))
    wait_for(healed)
    assert most == 1
    assert here.supervisor_pid() != supervisor
    assert here.get("counter")["version"] == "1.0.0"


def test_losing_all_of_redis_restarts_no_app(here: Machine) -> None:
    here.example("counter")
    here.example("ticker")
    here.web("counter")
    here.ticker()
    here.deployed()
    pids = here.pids()
    here.store.client.flushall()
    wait_for(lambda: here.pool_children() != [] and here.engine.nodes.all() != {})
    assert here.sync()["status"] == "synced"
    wait_for(here.is_synced)
    assert here.pids() == pids
    assert {name: app["version"] for name, app in here.status()["apps"].items()} == {
        "counter": "1.0.0",
        "ticker": "1.0.0",
    }


def at_build(here: Machine) -> bool:
    return here.gate("gated", "build").with_suffix(".reached").exists()


def at_start(here: Machine) -> bool:
    return (here.home / "apps" / "gated" / "applied.json").exists()


def at_health(here: Machine) -> bool:
    return bool(here.pids("gated"))


@pytest.mark.parametrize("reached", [at_build, at_start, at_health])
def test_a_worker_killed_at_work_leaves_a_run_that_is_completed_with_one_process(
    here: Machine, reached: Callable[[Machine], bool]
) -> None:
    here.gated("1.0.0")
    here.web("gated")
    if reached is not at_build:
        here.let("gated", "build")
    here.commit()
    here.start()
    wait_for(lambda: reached(here))
    run = here.engine.runs.current()
    assert run is not None
    here.kill("worker")
    assert len(here.pids("gated")) <= 1
    here.let("gated", "build", "open")
    here.start_worker()
    wait_for(here.is_synced)
    record = here.engine.runs.record(run.id)
    assert record is not None
    assert record["status"] == "synced"
    assert here.status()["apps"]["gated"]["pid"] == here.pid("gated")
    assert len(list((here.home / "apps" / "gated" / "releases").glob("[!.]*"))) == 1
    assert list((here.home / "apps" / "gated" / "releases").glob(".*")) == []
