"""How any step is done: claimed, carried out, ended; refused when it is not ours; given back when this fails."""

from __future__ import annotations

from typing import Any

import pytest
from waiting import wait_for
from workbench import BODIES, Workbench

from reconciler.engine import Engine
from reconciler.steps import PULL, manual_step
from reconciler.work import Work, outdated, perform, send_into
from runtimes.base import Superseded
from state.events import Event
from state.lease import LeaseLost
from state.runs import Runs
from state.steps import Claim, Completed, Refused, Step, StepOutcome
from state.unavailable import StateUnavailable


def begun(bench: Workbench) -> str:
    return bench.engine.runs.request("hand", PULL).run


def test_a_message_that_comes_twice_is_refused_the_second_time(bench: Workbench) -> None:
    run = begun(bench)
    bench.engine.runs.insert(run, [Step("other", "diff", "ctl")])
    did: list[str] = []

    def body(engine: Engine, claim: Claim) -> Work:
        did.append(claim.step.id)
        return Work()

    assert perform(bench.engine, run, "pull", body).state == "ok"
    assert perform(bench.engine, run, "pull", body).state == "Done"
    assert perform(bench.engine, "no-run", "pull", body).state == "UnknownRun"
    assert did == ["pull"]


def test_a_step_that_others_are_at_is_refused(bench: Workbench) -> None:
    run = begun(bench)
    bench.engine.runs.claim(run, "pull", "another", 15)
    assert perform(bench.engine, run, "pull", BODIES["pull"]).state == "Running"


def test_a_fault_of_ours_fails_its_step_and_is_told_and_ends_the_run(bench: Workbench) -> None:
    run = begun(bench)

    def body(engine: Engine, claim: Claim) -> Work:
        raise KeyError("x")

    done = perform(bench.engine, run, "pull", body)
    assert (done.state, done.outcome and done.outcome.reason) == ("failed", "KeyError")
    assert isinstance(bench.faults[0][0], KeyError)
    record = bench.engine.runs.record(run)
    assert record is not None
    assert (record["status"], record["error"]) == ("error", "KeyError: unexpected KeyError: 'x'")


def test_redis_away_in_a_body_gives_the_step_back_so_that_another_takes_it(bench: Workbench) -> None:
    run = begun(bench)

    def body(engine: Engine, claim: Claim) -> Work:
        raise StateUnavailable("away")

    with pytest.raises(StateUnavailable):
        perform(bench.engine, run, "pull", body)
    assert not isinstance(bench.engine.runs.claim(run, "pull", "another", 15), Refused)


def test_an_ended_process_gives_its_step_back(bench: Workbench) -> None:
    run = begun(bench)

    def body(engine: Engine, claim: Claim) -> Work:
        raise SystemExit(0)

    with pytest.raises(SystemExit):
        perform(bench.engine, run, "pull", body)
    assert bench.engine.runs.steps(run)[0].state == "ready"


def test_a_late_worker_writes_nothing_and_tells_nothing(bench: Workbench) -> None:
    run = begun(bench)
    key = bench.engine.store.key("late")

    def body(engine: Engine, claim: Claim) -> Work:
        engine.runs.give_back(claim)
        assert not isinstance(engine.runs.claim(run, "pull", "another", 15), Refused)
        effects = engine.store.pipeline()
        effects.set(key, "written")
        return Work(effects=effects, events=(Event("git.pull", 1.0),))

    assert perform(bench.engine, run, "pull", body).state == "LeaseLost"
    assert bench.engine.store.client.get(key) is None
    assert bench.told == []
    assert bench.events() == []


def test_events_are_written_with_the_end_of_the_step_and_told_after_it(bench: Workbench) -> None:
    run = begun(bench)

    def body(engine: Engine, claim: Claim) -> Work:
        return Work(effects=engine.store.pipeline(), events=(Event("git.pull", 1.0, run=run),))

    perform(bench.engine, run, "pull", body)
    assert bench.told[0].name == "git.pull"
    assert len(bench.events("git.pull")) == 1


def test_events_without_effects_to_be_written_with_are_a_mistake(bench: Workbench) -> None:
    run = begun(bench)
    with pytest.raises(TypeError, match="effects"):
        perform(bench.engine, run, "pull", lambda engine, claim: Work(events=(Event("git.pull", 1.0),)))


def test_what_a_step_reports_is_shown_while_it_goes_on_and_not_after(bench: Workbench) -> None:
    run = begun(bench)
    shown: list[str] = []

    def body(engine: Engine, claim: Claim) -> Work:
        assert engine.attending.claim == claim
        engine.attending.report("building")
        return Work()

    perform(bench.engine, run, "pull", body, report=shown.append)
    bench.engine.attending.report("probing")
    assert shown == ["building"]
    assert bench.engine.attending.claim is None


def test_work_gives_way_once_git_asks_for_something_else(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.ask()
    run, step = bench.until("deploy")
    given_up: list[bool] = []

    def body(engine: Engine, claim: Claim) -> Work:
        given_up.append(engine.attending.cancelled())
        bench.app("web", "2.0.0")
        bench.commit()
        bench.ask()
        wait_for(engine.attending.cancelled)
        raise Superseded("at a safe point")

    assert perform(bench.engine, run, step.id, body).state == "superseded"
    assert given_up == [False]


def test_a_result_is_held_on_to_while_redis_does_not_answer(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(bench)
    complete = Runs.complete
    failures = [StateUnavailable("away")]

    def flaky(self: Runs, *args: Any) -> Completed:
        if failures:
            raise failures.pop()
        return complete(self, *args)

    monkeypatch.setattr(Runs, "complete", flaky)
    assert perform(bench.engine, run, "pull", lambda engine, claim: Work()).state == "ok"
    assert not failures


def test_steps_go_into_an_open_run_and_not_into_one_that_ended(bench: Workbench) -> None:
    run = begun(bench)
    step = manual_step("remove", "web", "n1", "a")
    assert send_into(bench.engine, run, [step])
    assert [sent.id for _, sent in bench.sent] == ["remove:web@n1:a"]
    assert not send_into(bench.engine, "gone", [step])


@pytest.mark.parametrize(
    ("action", "digest", "desired", "gone"),
    [
        ("deploy", "r1-e1-d1", "r1-e1-d1", False),
        ("deploy", "r1-e1-d1", "r2-e1-d1", True),
        ("deploy", "r1-e1-d1", None, True),
        ("deploy", "r1-e1-d1", "", False),  # a broken spec asks for nothing
        ("remove", "", "r1-e1-d1", True),
        ("remove", "", None, False),
    ],
)
def test_a_step_is_outdated_when_git_asks_for_something_else(
    action: str, digest: str, desired: str | None, gone: bool
) -> None:
    step = Step("x", "x", "q", app="web", action=action, digest=digest, reason="GoneFromGit")
    assert outdated(step, desired) is gone


def test_what_restores_an_earlier_release_is_outdated_only_when_the_app_is_gone() -> None:
    step = Step("x", "deploy", "q", app="web", action="repair", digest="r1-e1-d1", from_digest="r1-e1-d1")
    assert not outdated(step, "r2-e1-d1")
    assert outdated(step, None)


def test_an_app_that_moved_to_another_node_is_removed_though_it_is_desired() -> None:
    assert not outdated(Step("x", "remove", "q", app="web", action="remove", reason="Moved"), "r1-e1-d1")


def test_a_lost_lease_is_an_error_of_its_own(bench: Workbench) -> None:
    run = begun(bench)
    claim = bench.engine.runs.claim(run, "pull", "me", 15)
    assert isinstance(claim, Claim)
    bench.engine.runs.give_back(claim)
    with pytest.raises(LeaseLost):
        bench.engine.runs.complete(claim, StepOutcome("ok"))
