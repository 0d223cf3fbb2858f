"""What a commit does to an app that is upgraded beside itself: real Git, Redis, supervisor and front, real traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from beside import APP, Beside, free_port
from traffic import Traffic
from workbench import Workbench

from reconciler.observe import observe


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def place(bench: Workbench) -> Iterator[Beside]:
    made = Beside(bench.engine.settings.home)
    yield made
    made.end()


def commit(bench: Workbench, port: int, version: str, env: str = "{}", grace: str = "15s") -> None:
    """A commit that moves the app to `version`."""
    bench.write(
        "web",
        f'name: web\nversion: "{version}"\nrun: {{command: [python, {json.dumps(str(APP))}, $PORT]}}\n'
        f"env: {env}\nexpose: {{port: {port}}}\nhealth: {{grace: {grace}, timeout: 1s}}\n"
        "upgrade: {strategy: blue_green}\n",
    )
    bench.commit(f"web {version}")


def test_a_version_that_is_ill_is_rolled_back_without_a_request_and_said_with_its_last_lines(
    bench: Workbench, place: Beside, port: int
) -> None:
    bench.engine.runtime = place.runtime()
    commit(bench, port, "1.0.0")
    assert bench.sync()["status"] == "synced"
    commit(bench, port, "1.1.0")
    assert bench.sync()["status"] == "synced"
    running = bench.live("web")
    with Traffic(port, rate=40) as traffic:
        commit(bench, port, "2.0.0", env='{ILL: "1"}', grace="1s")
        record = bench.sync()
    seen = traffic.end()
    assert (seen["new"]["failed"], seen["kept"]["failed"], seen["new"]["versions"]) == ({}, {}, ["1.1.0"])
    assert place.seen("2.0.0") == 0
    assert record["status"] == "degraded"
    assert bench.live("web") == running
    app = bench.status()["apps"]["web"]
    assert (app["version"], app["sync"], app["status"], app["health"]) == ("1.1.0", "out_of_sync", "running", "healthy")
    assert app["pid"] == running.pid
    stop = bench.events("upgrade.stop")[-1]
    assert stop.result == "rolled_back"
    for said in (app["message"], stop.error):
        assert "rolled back to 1.1.0" in said
        assert "answered 500" in said
        assert "serving 2.0.0" in said
    assert place.pids() == [running.pid]


def test_a_generation_that_was_left_over_is_seen_and_cleaned_up_without_a_commit(
    bench: Workbench, place: Beside, port: int
) -> None:
    runtime = bench.engine.runtime = place.runtime()
    commit(bench, port, "1.0.0")
    bench.sync()
    running = bench.live("web")
    applied = runtime.applied("web")
    assert applied is not None
    (place.home / "apps" / "web" / "green").mkdir()
    runtime.supervisor.put("web", applied.processes, "green")
    observe(bench.engine)
    assert "left running beside it" in bench.status()["apps"]["web"]["message"]
    assert bench.engine.due.due(bench.engine.store.now())
    assert bench.sync()["status"] == "synced"
    assert bench.live("web") == running
    assert not (place.home / "apps" / "web" / "green").exists()
