"""A crash loop soon after an upgrade counts against it, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from workbench import Workbench

from reconciler.crashes import ENDS, WATCHED, failed_later, is_over
from reconciler.observe import drift_of, observe
from specs.appstate import AppState
from state.upgrades import Upgrade

UPGRADE = Upgrade("web", "n1", 1000.0, "r2-e1-d1", "2.0.0", "r1-e1-d1", "1.0.0")
FAILED = AppState("web", "2.0.0", digest="r2-e1-d1", status="failed", health="unhealthy", node="n1")
RUNNING = replace(FAILED, status="running", health="healthy")


def test_what_was_given_up_soon_after_an_upgrade_counts_against_it() -> None:
    assert failed_later(UPGRADE, FAILED, 1000.0 + WATCHED)
    assert not failed_later(UPGRADE, FAILED, 1001.0 + WATCHED)
    began = replace(UPGRADE, ends=(1000.0 + WATCHED - 1,))
    assert failed_later(began, FAILED, 1050.0 + WATCHED)
    assert not is_over(began, 1050.0 + WATCHED)
    assert is_over(began, 1001.0 + 2 * WATCHED)


def test_what_ends_again_and_again_counts_though_it_was_not_given_up() -> None:
    ends = tuple(1010.0 + number for number in range(ENDS))
    assert failed_later(replace(UPGRADE, ends=ends), RUNNING, 1020.0)
    assert not failed_later(replace(UPGRADE, ends=ends[1:]), RUNNING, 1020.0)


@pytest.mark.parametrize(
    ("upgrade", "state"),
    [
        (None, FAILED),
        (UPGRADE, None),
        (UPGRADE, RUNNING),
        (UPGRADE, replace(FAILED, digest="r3-e1-d1")),
        (UPGRADE, replace(FAILED, drift="its environment file was changed")),
        (UPGRADE, replace(FAILED, status="stopped")),
        (replace(UPGRADE, from_digest=""), FAILED),
    ],
)
def test_nothing_else_counts(upgrade: Upgrade | None, state: AppState | None) -> None:
    assert not failed_later(upgrade, state, 1010.0)


def test_what_is_news_of_an_app_is_told_in_words() -> None:
    damaged = replace(FAILED, drift="its environment file was changed")
    assert drift_of(RUNNING, damaged) == "its environment file was changed"
    assert drift_of(damaged, damaged) == ""
    assert "not there" in drift_of(RUNNING, None)
    assert drift_of(None, RUNNING) == ""
    assert drift_of(RUNNING, FAILED) == "a process ended by itself"
    assert drift_of(RUNNING, replace(FAILED, digest="r3-e1-d1")) == ""


def test_what_a_step_does_to_an_app_is_no_drift(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    upgraded(bench)
    bench.told.clear()
    stopped = replace(bench.live("web"), status="stopped", health="unknown", drift="main was stopped by hand")
    monkeypatch.setattr(bench.engine.runtime, "current_state", lambda: {"web": stopped})
    lease = bench.engine.leases.acquire("web@n1", "a step", 10)
    assert lease is not None
    observe(bench.engine)
    assert [event.extra.get("drift") for event in bench.told] == [None]
    bench.engine.leases.release(lease)
    bench.engine.live.put(replace(stopped, drift="", status="running"))
    observe(bench.engine)
    assert bench.told[-1].extra["drift"] == "main was stopped by hand"


def upgraded(bench: Workbench) -> None:
    for version in ("1.0.0", "2.0.0"):
        bench.app("web", version)
        bench.commit()
        bench.sync()
    observe(bench.engine)


def crash(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what runs be given up by its supervisor."""
    runtime = bench.engine.runtime
    real = type(runtime).current_state
    given_up = replace(bench.live("web"), status="failed", health="unhealthy", message="main was given up: no table")

    def states() -> dict[str, AppState]:
        found = real(runtime)  # type: ignore[arg-type]
        return {**found, "web": given_up} if found["web"].digest == given_up.digest else found

    monkeypatch.setattr(runtime, "current_state", states)
    observe(bench.engine)


def test_an_upgrade_that_crashes_later_is_taken_back_and_waits(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded(bench)
    crash(bench, monkeypatch)
    assert bench.engine.due.due(bench.engine.store.now()) == ["drift:n1"]
    record = bench.sync("beat")
    assert [(s["action"], s["state"], s["reason"]) for s in record["steps"]] == [("rollback", "failed", "RolledBack")]
    assert record["status"] == "degraded"
    assert bench.live("web").version == "1.0.0"
    observe(bench.engine)
    app = bench.status()["apps"]["web"]
    assert (app["sync"], app["status"], app["health"]) == ("out_of_sync", "running", "healthy")
    assert (app["version"], app["desired_version"], app["reason"]) == ("1.0.0", "2.0.0", "RolledBack")
    assert bench.status()["status"] == "degraded"
    newest = bench.engine.history.of("web")[0]
    assert (newest.action, newest.result, newest.from_version, newest.to_version) == (
        "rollback", "rolled_back", "2.0.0", "1.0.0",
    )  # fmt: skip
    stop = bench.events("rollback.stop")[-1]
    assert (stop.result, stop.extra["reason"]) == ("ok", "CrashLoop")
    assert bench.sync()["steps"] == []  # waits
    bench.app("web", "2.0.1")
    bench.commit()
    assert bench.sync()["status"] == "synced"
    assert bench.live("web").version == "2.0.1"


def test_a_new_description_does_not_end_the_watch_over_an_upgrade(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded(bench)
    bench.app("web", "2.0.0", more="description: A shop")
    bench.commit()
    assert [step["action"] for step in bench.sync()["steps"]] == ["record"]
    observe(bench.engine)
    crash(bench, monkeypatch)
    assert [step["action"] for step in bench.sync("beat")["steps"]] == ["rollback"]
    assert bench.live("web").version == "1.0.0"
    assert bench.sync()["steps"] == []  # waits


def test_each_time_it_is_taken_back_it_waits_longer(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    upgraded(bench)
    waits = []
    for _ in range(3):
        crash(bench, monkeypatch)
        bench.sync("beat")
        outcome = bench.engine.outcomes.all()["web", "n1"]
        waits.append(outcome.not_before - outcome.at)
        monkeypatch.undo()
        bench.sync(force=True)
        observe(bench.engine)
        assert bench.live("web").version == "2.0.0"
    assert waits == sorted(waits)
    assert waits[0] < waits[1] < waits[2]


def test_processes_that_end_by_themselves_are_counted_from_observation_to_observation(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    upgraded(bench)
    well = bench.live("web")
    bench.told.clear()
    for number in range(1, ENDS + 1):
        later = replace(well, started_at=well.started_at + timedelta(seconds=number))
        monkeypatch.setattr(bench.engine.runtime, "current_state", lambda later=later: {"web": later})
        observe(bench.engine)
    assert len(bench.engine.upgrades.all()["web", "n1"].ends) == ENDS
    drifts = [event.extra.get("drift") for event in bench.told if event.name == "health.check"]
    assert drifts == ["a process ended by itself"] * ENDS
    monkeypatch.undo()
    assert [step["action"] for step in bench.sync("beat")["steps"]] == ["rollback"]
    assert bench.live("web").version == "1.0.0"
