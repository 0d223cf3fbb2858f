"""What is remembered of an attempt: all of it with the end of the step, or nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from workbench import Workbench

from reconciler.apply import apply
from reconciler.backoff import LONGEST
from reconciler.engine import Engine
from reconciler.work import Work, perform
from state.steps import Claim


def due_at(bench: Workbench, name: str) -> float | None:
    score = bench.engine.store.client.zscore(bench.engine.store.key("due"), name)
    return None if score is None else float(score)


def test_a_change_is_measured_from_commit_to_healthy(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    stop = bench.events("deploy.stop")[0]
    assert (stop.app, stop.node, stop.result, stop.extra["version"]) == ("web", "n1", "ok", "1.0.0")
    assert stop.duration is not None
    assert stop.extra["commit_to_healthy"] > 0
    assert {"fetch", "parse", "plan"} <= set(stop.extra["stages"])


def test_a_failure_is_waited_with_longer_each_time_and_told_once(bench: Workbench) -> None:
    bench.app("web", NOOP_FAIL="deploy")
    bench.commit()
    bench.sync()
    first = bench.engine.outcomes.all()["web", "n1"]
    assert due_at(bench, "retry:web@n1") == first.not_before
    bench.sync()
    assert bench.engine.outcomes.all()["web", "n1"] == first  # not tried again at once
    for attempts in (2, 3):
        bench.sync(force=True)
        outcome = bench.engine.outcomes.all()["web", "n1"]
        assert outcome.attempts == attempts
        assert outcome.not_before - outcome.at > first.not_before - first.at
    assert len(bench.faults) == 1


def test_another_spec_is_tried_at_once_and_counts_anew(bench: Workbench) -> None:
    bench.app("web", NOOP_FAIL="deploy")
    bench.commit()
    bench.sync()
    bench.sync(force=True)
    bench.app("web", "1.0.1", NOOP_FAIL="upgrade,deploy")
    bench.commit()
    bench.sync()
    assert bench.engine.outcomes.all()["web", "n1"].attempts == 1
    assert len(bench.faults) == 2
    bench.app("web", "1.0.2")
    bench.commit()
    bench.sync()
    assert bench.engine.outcomes.all() == {}


def test_what_only_a_changed_spec_can_mend_is_not_tried_again(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.engine.runtime, "isolations", frozenset({"embedded"}))
    bench.app("web")
    bench.commit()
    bench.sync()
    outcome = bench.engine.outcomes.all()["web", "n1"]
    assert outcome.reason == "IsolationUnavailable"
    assert outcome.not_before - outcome.at > 365 * 86400
    assert due_at(bench, "retry:web@n1") is None


def test_what_must_be_repaired_again_and_again_is_waited_with(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    for repairs in (1, 2, 3):
        ill = replace(bench.live("web"), status="failed", health="unhealthy")
        bench.engine.live.put(ill)
        assert bench.sync()["steps"][0]["action"] == "repair"
        outcome = bench.engine.outcomes.all()["web", "n1"]
        assert (outcome.result, outcome.attempts) == ("ok", repairs)
    assert 0 < outcome.not_before - outcome.at < LONGEST
    assert due_at(bench, "retry:web@n1") == outcome.not_before


def test_a_late_attempt_leaves_nothing_behind(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.ask()
    run, step = bench.until("deploy")

    def late(engine: Engine, claim: Claim) -> Work:
        work = apply(engine, claim)
        engine.runs.give_back(claim)
        engine.runs.claim(run, step.id, "another", 15)
        return work

    assert perform(bench.engine, run, step.id, late).state == "LeaseLost"
    assert bench.engine.history.of("web") == []
    assert bench.engine.live.app("web") == {}
    assert bench.events("deploy.stop") == []


def test_history_tells_of_a_failed_change_what_it_was_to_lead_to(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    bench.app("web", "2.0.0", NOOP_FAIL="upgrade")
    bench.commit()
    bench.sync()
    newest = bench.engine.history.of("web")[0]
    assert (newest.action, newest.from_version, newest.to_version) == ("upgrade", "1.0.0", "2.0.0")
    assert newest.result in ("failed", "rolled_back")


def test_history_tells_who_asked_for_what_and_why(bench: Workbench) -> None:
    bench.app("web")
    first = bench.commit("Add web")
    bench.sync()
    bench.app("web", "2.0.0", NOOP_UNHEALTHY="1")
    second = bench.commit("Try 2.0.0")
    record = bench.sync()
    newest, oldest = bench.engine.history.of("web")
    assert (oldest.action, oldest.result, oldest.revision, oldest.subject) == ("deploy", "ok", first, "Add web")
    assert (oldest.from_version, oldest.to_version, oldest.why) == ("", "1.0.0", "NotDeployed")
    assert (newest.action, newest.result, newest.revision, newest.run) == (
        "upgrade", "rolled_back", second, record["run"],
    )  # fmt: skip
    assert (newest.from_version, newest.to_version, newest.author) == ("1.0.0", "2.0.0", "Ada")
    assert newest.why.startswith("rolled back to 1.0.0")


def test_what_was_in_force_is_in_the_ledger_from_the_first_change_on(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    assert bench.engine.ledger.of("web") == []
    bench.app("web", "2.0.0")
    bench.commit()
    bench.sync()
    bench.sync()
    assert [entry.version for entry in bench.engine.ledger.of("web")] == ["2.0.0", "1.0.0"]


def test_a_superseded_attempt_is_looked_at_again_and_is_no_failure(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.ask()
    bench.until("deploy")
    bench.app("web", "2.0.0")
    bench.commit()
    bench.ask()
    bench.step()
    assert any(name.startswith("superseded:") for name in bench.engine.due.due(bench.engine.store.now()))
    assert bench.engine.outcomes.all() == {}
    assert bench.faults == []
