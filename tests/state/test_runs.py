"""`state.runs` against a real Redis."""

from __future__ import annotations

from dataclasses import replace

import pytest

from state.events import Events
from state.holds import Holds, Suspension
from state.lease import LeaseLost
from state.runs import Runs, RunUnknown
from state.steps import Claim, Refused, Step, StepOutcome, merged_options
from state.store import Store

FIRST = Step("pull", "pull", "ctl")
OK = StepOutcome("ok")
FAILED = StepOutcome("failed", "BuildFailed", "no such version")


@pytest.fixture
def runs(store: Store) -> Runs:
    return Runs(store)


def step(name: str, *needs: str, resource: str = "") -> Step:
    return Step(name, "deploy", "node.a", resource=resource, app=name, node="a", needs=needs)


def claimed(runs: Runs, run: str, name: str, owner: str = "me") -> Claim:
    claim = runs.claim(run, name, owner, 30)
    assert isinstance(claim, Claim), claim
    return claim


def begin(runs: Runs, *steps: Step) -> str:
    run = runs.request("test", FIRST).run
    runs.complete(claimed(runs, run, "pull"), OK, add=steps)
    return run


def lose_lease(store: Store, resource: str) -> None:
    assert store.client.delete(store.key("lease", resource))


def test_a_request_begins_a_run_with_its_first_step_ready(runs: Runs) -> None:
    asked = runs.request("beat", FIRST, options={"force": True})
    run = runs.current()
    assert asked.started
    assert run is not None
    assert (run.id, run.trigger, run.open, run.options) == (asked.run, "beat", 1, {"force": True})
    assert [(r.step, r.state) for r in runs.steps(run.id)] == [(FIRST, "ready")]


@pytest.mark.parametrize(
    ("what", "ends_in", "expected"),
    [("web", 0.0, True), (None, 0.0, True), ("web", 60.0, True), ("web", -60.0, False), ("db", 0.0, False)],
)
def test_a_claim_tells_whether_its_app_is_suspended_now(
    runs: Runs, store: Store, what: str | None, ends_in: float, expected: bool
) -> None:
    run = begin(runs, step("web"))
    Holds(store).suspend(what, Suspension(store.now() + ends_in if ends_in else 0.0))
    assert claimed(runs, run, "web").suspended is expected
    assert claimed(runs, run, "web").suspended is expected  # the message came twice


def test_requests_during_a_run_begin_one_more_run_after_it(runs: Runs) -> None:
    run = runs.request("beat", FIRST, request="one").run
    for request in ("two", "three"):
        again = runs.request("hand", FIRST, request=request, options={"force": True})
        assert (again.run, again.started) == (run, False)
    runs.complete(claimed(runs, run, "pull"), OK)
    closed = runs.close(run, {"status": "synced"}, FIRST)
    following = runs.current()
    assert closed.done
    assert following is not None
    assert closed.next == following.id
    assert following.requests == ("two", "three")
    assert following.options == {"force": True}
    runs.complete(claimed(runs, following.id, "pull"), OK)
    assert runs.close(following.id, {"status": "synced"}, FIRST).next == ""
    assert runs.current() is None


def test_a_request_that_comes_twice_is_one_request(runs: Runs) -> None:
    first = runs.request("hand", FIRST, request="one")
    assert runs.request("hand", FIRST, request="one") == first
    runs.complete(claimed(runs, first.run, "pull"), OK)
    assert runs.close(first.run, {}, FIRST).next == ""


def test_the_event_of_a_step_that_begins_says_what_led_to_it(runs: Runs, store: Store) -> None:
    run = begin(runs, replace(step("a"), payload={"detail": "its environment file was changed"}), step("b"))
    for name in ("a", "b"):
        claimed(runs, run, name)
    first, second = (event for event in Events(store).last(10) if event.name == "deploy.start")
    assert first.extra["why"] == "its environment file was changed"
    assert "why" not in second.extra


def test_a_step_is_claimed_once_and_the_same_delivery_gets_it_again(runs: Runs) -> None:
    run = runs.request("test", FIRST).run
    claim = claimed(runs, run, "pull", "me")
    assert runs.claim(run, "pull", "me", 30) == claim
    assert runs.claim(run, "pull", "other", 30) == Refused("Running")
    runs.complete(claim, OK)
    assert runs.claim(run, "pull", "me", 30) == Refused("Done")


def test_steps_of_a_closed_run_are_refused(runs: Runs) -> None:
    run = begin(runs)
    runs.close(run, {}, FIRST)
    assert runs.claim(run, "pull", "me", 30) == Refused("UnknownRun")
    with pytest.raises(RunUnknown):
        runs.insert(run, [step("web")])


def test_dependents_become_ready_when_the_last_need_ends_well(runs: Runs) -> None:
    run = begin(runs, step("db"), step("cache"), step("web", "db", "cache"))
    assert runs.claim(run, "web", "me", 30) == Refused("NotReady")
    assert runs.complete(claimed(runs, run, "db"), OK).ready == ()
    done = runs.complete(claimed(runs, run, "cache"), OK)
    assert [s.id for s in done.ready] == ["web"]
    assert not done.finished
    assert runs.complete(claimed(runs, run, "web"), OK).finished


def test_a_failure_blocks_what_needs_it_however_far_and_nothing_else(runs: Runs) -> None:
    run = begin(runs, step("db"), step("web", "db"), step("proxy", "web"), step("other"))
    done = runs.complete(claimed(runs, run, "db"), FAILED)
    assert [(b.step.id, b.by) for b in done.blocked] == [("web", "db"), ("proxy", "web")] or {
        b.by for b in done.blocked
    } == {"db"}
    assert done.blocked[0].message == "waits for db, which failed (BuildFailed)"
    states = {r.step.id: r.state for r in runs.steps(run)}
    assert states == {"pull": "ok", "db": "failed", "web": "blocked", "proxy": "blocked", "other": "ready"}
    assert runs.complete(claimed(runs, run, "other"), OK).finished


def test_a_failure_that_does_not_block_lets_dependents_go_on(runs: Runs) -> None:
    run = begin(runs, step("db"), step("web", "db"))
    done = runs.complete(claimed(runs, run, "db"), StepOutcome("failed", "RolledBack", "", blocks=False))
    assert [s.id for s in done.ready] == ["web"]


def test_steps_may_be_added_to_what_has_already_ended(runs: Runs) -> None:
    run = begin(runs, step("db"), step("bad"), step("last"))
    runs.complete(claimed(runs, run, "db"), OK)
    runs.complete(claimed(runs, run, "bad"), FAILED)
    added = runs.insert(run, [step("web", "db"), step("worker", "bad"), step("more", "worker")])
    assert [s.id for s in added.ready] == ["web"]
    assert {b.step.id for b in added.blocked} == {"worker", "more"}


def test_an_unknown_need_is_an_error_that_changes_nothing(runs: Runs) -> None:
    run = runs.request("test", FIRST).run
    claim = claimed(runs, run, "pull")
    with pytest.raises(Exception, match="unknown step nothing"):
        runs.complete(claim, OK, add=[step("web", "nothing")])
    assert [(r.step.id, r.state) for r in runs.steps(run)] == [("pull", "running")]


def test_two_steps_never_hold_one_resource_and_the_second_is_sent_when_it_is_free(runs: Runs) -> None:
    run = begin(runs, step("one", resource="web@a"), step("two", resource="web@a"))
    first = claimed(runs, run, "one")
    assert runs.claim(run, "two", "other", 30) == Refused("Busy")
    assert [s.id for s in runs.complete(first, OK).ready] == ["two"]
    assert isinstance(runs.claim(run, "two", "other", 30), Claim)


def test_a_worker_that_lost_its_lease_cannot_end_what_another_claimed(runs: Runs, store: Store) -> None:
    run = begin(runs, step("web", resource="web@a"))
    late = claimed(runs, run, "web", "late")
    lose_lease(store, "web@a")
    present = claimed(runs, run, "web", "present")
    assert present.token > late.token
    assert present.attempt == 2
    effects = store.pipeline()
    effects.set(store.key("proof"), "late")
    with pytest.raises(LeaseLost):
        runs.complete(late, OK, effects=effects)
    assert store.client.get(store.key("proof")) is None
    assert not runs.renew(late, 30)
    assert runs.renew(present, 30)
    assert runs.complete(present, OK).finished


def test_effects_are_written_with_the_step_and_only_once(runs: Runs, store: Store) -> None:
    run = begin(runs, step("web"))
    claim = claimed(runs, run, "web")
    effects = store.pipeline()
    effects.incr(store.key("count"))
    effects.hset(store.key("hash"), mapping={"a": "ä\n", "b": 1.5})
    for _ in range(2):
        assert runs.complete(claim, OK, effects=effects).finished
    assert store.client.get(store.key("count")) == "1"
    assert store.client.hgetall(store.key("hash")) == {"a": "ä\n", "b": "1.5"}


def test_a_step_given_back_is_sent_by_the_next_sweep_and_not_counted(runs: Runs) -> None:
    run = begin(runs, step("web"))
    assert runs.give_back(claimed(runs, run, "web"))
    assert [s.id for s in runs.sweep().resend] == ["web"]
    assert runs.sweep().resend == ()
    assert claimed(runs, run, "web").attempt == 1


def test_a_sweep_sends_what_a_lost_worker_held_and_gives_up_after_three(runs: Runs, store: Store) -> None:
    run = begin(runs, step("web", resource="web@a"), step("proxy", "web"))
    for attempt in (1, 2):
        assert claimed(runs, run, "web", f"w{attempt}").attempt == attempt
        lose_lease(store, "web@a")
        assert [s.id for s in runs.sweep().resend] == ["web"]
    claimed(runs, run, "web", "w3")
    lose_lease(store, "web@a")
    swept = runs.sweep()
    assert [s.id for s in swept.lost] == ["web"]
    assert [b.step.id for b in swept.blocked] == ["proxy"]
    assert swept.finished
    assert swept.run == run


def test_a_sweep_leaves_alone_what_runs_and_what_was_just_sent(runs: Runs) -> None:
    run = begin(runs, step("web"), step("db"))
    claimed(runs, run, "web")
    assert runs.sweep().resend == ()
    assert {s.id for s in runs.sweep(stale=0).resend} == {"db"}


def test_steps_that_have_not_begun_can_be_failed(runs: Runs) -> None:
    run = begin(runs, step("web"), step("proxy", "web"))
    done = runs.fail(run, ["web"], "NodeDown", "node a is down")
    assert [b.step.id for b in done.blocked] == ["proxy"]
    assert done.finished


def test_a_run_with_a_step_added_meanwhile_is_not_closed(runs: Runs) -> None:
    run = begin(runs)
    runs.insert(run, [step("web")])
    assert not runs.close(run, {}, FIRST).done
    runs.complete(claimed(runs, run, "web"), OK)
    assert runs.close(run, {}, FIRST).done


def test_a_record_is_kept_with_the_run_closed_and_nothing_else_is_left(runs: Runs, store: Store) -> None:
    run = begin(runs, step("web"))
    runs.complete(claimed(runs, run, "web"), OK, facts={"revision": "abc"})
    assert runs.facts(run) == {"revision": "abc"}
    runs.close(run, {"run": run, "status": "synced"}, FIRST)
    assert runs.record(run) == {"run": run, "status": "synced"}
    assert runs.recent() == [{"run": run, "status": "synced"}]
    assert not list(store.client.scan_iter(f"{store.key('run')}*"))


def test_closing_twice_returns_the_run_that_was_begun_after(runs: Runs) -> None:
    run = begin(runs)
    runs.request("hand", FIRST)
    following = runs.close(run, {}, FIRST).next
    assert following
    assert runs.close(run, {}, FIRST).next == following


def test_an_idle_run_leaves_no_record(runs: Runs) -> None:
    run = begin(runs)
    runs.close(run, {"status": "synced"}, FIRST, keep=False)
    assert runs.recent() == []


def test_a_late_worker_whose_step_was_given_up_is_told_so(runs: Runs, store: Store) -> None:
    run = begin(runs, step("web", resource="web@a"))
    late = claimed(runs, run, "web")
    lose_lease(store, "web@a")
    assert [s.id for s in runs.sweep(max_attempts=1).lost] == ["web"]
    with pytest.raises(LeaseLost):
        runs.complete(late, OK)
    assert {r.step.id: r.reason for r in runs.steps(run)}["web"] == "WorkerLost"


def test_a_late_worker_cannot_end_its_step_while_another_step_has_its_resource(runs: Runs, store: Store) -> None:
    run = begin(runs, step("one", resource="web@a"), step("two", resource="web@a"))
    late = claimed(runs, run, "one", "late")
    lose_lease(store, "web@a")
    present = claimed(runs, run, "two", "present")
    with pytest.raises(LeaseLost):
        runs.complete(late, OK)
    assert not runs.renew(late, 30)
    assert runs.complete(present, OK).finished is False
    assert [s.id for s in runs.sweep().resend] == ["one"]
    assert claimed(runs, run, "one").attempt == 2


def test_a_lease_that_lapsed_with_nobody_taking_over_does_not_undo_the_work(runs: Runs, store: Store) -> None:
    run = begin(runs, step("web", resource="web@a"))
    claim = claimed(runs, run, "web")
    lose_lease(store, "web@a")
    assert runs.complete(claim, OK).finished


def test_a_step_that_finds_its_resource_taken_twice_is_sent_once(runs: Runs) -> None:
    run = begin(runs, step("one", resource="web@a"), step("two", resource="web@a"))
    first = claimed(runs, run, "one")
    for owner in ("a", "b"):
        assert runs.claim(run, "two", owner, 30) == Refused("Busy")
    assert [s.id for s in runs.complete(first, OK).ready] == ["two"]


def test_what_waited_for_a_step_that_was_given_back_is_sent_by_the_next_sweep(runs: Runs) -> None:
    run = begin(runs, step("one", resource="web@a"), step("two", resource="web@a"))
    first = claimed(runs, run, "one")
    assert runs.claim(run, "two", "other", 30) == Refused("Busy")
    assert runs.give_back(first)
    assert {s.id for s in runs.sweep().resend} == {"one", "two"}


def test_what_was_staged_goes_with_the_run(runs: Runs, store: Store) -> None:
    run = begin(runs)
    runs.stage(run, {"apps/web": "text"})
    assert runs.staged(run) == {"apps/web": "text"}
    runs.close(run, {}, FIRST)
    assert runs.staged(run) == {}


def test_requests_of_a_closed_run_wait_for_their_result(runs: Runs) -> None:
    run = runs.request("hand", FIRST, request="one").run
    runs.complete(claimed(runs, run, "pull"), OK)
    runs.close(run, {"status": "synced"}, FIRST, keep=False)
    assert runs.unanswered() == {"one": {"status": "synced"}}
    runs.answered(["one"])
    assert runs.unanswered() == {}


def test_options_of_several_requests_are_united() -> None:
    assert merged_options([{"force": False, "names": ["a"]}, {"force": True, "names": ["b", "a"]}]) == {
        "force": True,
        "names": ["a", "b"],
    }
    assert merged_options([{"only": "web"}, {}]) == {}
    assert merged_options([{"only": "web"}, {"only": "web"}]) == {"only": "web"}


def test_what_a_late_step_stages_does_not_stay_for_ever(runs: Runs, store: Store) -> None:
    run = begin(runs)
    runs.close(run, {}, FIRST)
    runs.stage(run, {"apps/web/app.yaml": "late"})
    assert store.client.ttl(store.key("run", run, "staged")) > 0


def test_the_run_after_one_is_known_once_that_has_ended_and_also_when_it_has_ended_itself(runs: Runs) -> None:
    first = runs.request("beat", FIRST).run
    runs.request("hand", FIRST)
    assert runs.following(first) == ""
    runs.complete(claimed(runs, first, "pull"), OK)
    second = runs.close(first, {}, FIRST, keep=False).next
    assert runs.following(first) == second != ""
    runs.complete(claimed(runs, second, "pull"), OK)
    runs.close(second, {}, FIRST)
    assert (runs.following(first), runs.following(second), runs.following("nothing")) == (second, "", "")
