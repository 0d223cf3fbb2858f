"""What messages lost is mended, whatever was lost."""

from __future__ import annotations

import time

import pytest
from waiting import wait_for
from workbench import BODIES, Workbench

from reconciler.asking import ask_for_steps, stamp
from reconciler.finish import finish
from reconciler.placement import NODE_GRACE
from reconciler.steps import manual_step
from reconciler.sweep import resend_after, sweep, to_look_at
from reconciler.work import perform
from state.nodes import Node
from state.steps import Claim


def aged(bench: Workbench) -> None:
    """Let every ready step of the open run look as if it had been sent long ago."""
    run = bench.engine.runs.current()
    assert run is not None
    key = bench.engine.store.key("run", run.id, "ready")
    for step in bench.engine.store.client.zrange(key, 0, -1):
        bench.engine.store.client.zadd(key, {step: 0})


def started(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.ask()


def test_a_lost_message_is_sent_again_when_its_time_is_over(bench: Workbench) -> None:
    started(bench)
    bench.sent.clear()
    sweep(bench.engine)
    assert bench.sent == []
    aged(bench)
    sweep(bench.engine)
    assert bench.tasks() == ["pull"]
    sweep(bench.engine)
    assert bench.tasks() == ["pull"]
    bench.work()
    assert bench.live("web") is not None


def test_every_message_may_be_lost_and_the_run_still_ends(bench: Workbench) -> None:
    bench.app("db")
    bench.app("web", more="depends_on: [db]")
    bench.commit()
    bench.ask()
    for _ in range(20):
        bench.sent.clear()
        if bench.engine.runs.current() is None:
            break
        aged(bench)
        sweep(bench.engine)
        if bench.sent:
            bench.step()
    assert bench.engine.runs.current() is None
    assert bench.status()["status"] == "synced"


def test_a_step_whose_worker_died_is_sent_again_and_given_up_when_that_happens_again_and_again(
    bench: Workbench,
) -> None:
    started(bench)
    run, step = bench.until("deploy")
    bench.sent.clear()
    lease = bench.engine.store.key("lease", step.resource)
    for _ in range(3):
        claim = bench.engine.runs.claim(run, step.id, stamp(), 0.001)
        assert isinstance(claim, Claim)
        wait_for(lambda: not bench.engine.store.client.exists(lease))
        sweep(bench.engine)
    assert [sent.id for _, sent in bench.sent] == ["web@n1", "web@n1"]
    outcome = bench.engine.outcomes.all()["web", "n1"]
    assert (outcome.result, outcome.reason) == ("failed", "WorkerLost")
    assert bench.events("deploy.stop")[0].result == "failed"
    record = bench.engine.runs.recent()[0]
    assert (record["run"], record["status"]) == (run, "degraded")


def test_a_run_whose_end_was_not_noticed_is_ended(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    started(bench)
    run, step = bench.until("deploy")
    bench.sent.clear()
    with monkeypatch.context() as patched:
        patched.setattr("reconciler.work.finish", lambda engine, run: None)  # it died right before
        perform(bench.engine, run, step.id, BODIES["deploy"])
    assert bench.engine.runs.current() is not None
    assert sweep(bench.engine).finished
    assert bench.engine.runs.current() is None
    assert bench.status()["status"] == "synced"


def test_an_answer_that_was_not_given_is_given(bench: Workbench) -> None:
    started(bench)
    given, bench.engine.answer = bench.engine.answer, lambda request, record: None
    answered, bench.engine.runs.answered = bench.engine.runs.answered, lambda requests: None  # type: ignore[method-assign]
    bench.work()
    assert bench.answers == {}
    bench.engine.answer = given
    bench.engine.runs.answered = answered  # type: ignore[method-assign]
    sweep(bench.engine)
    assert [record["status"] for record in bench.answers.values()] == ["synced"]


def test_what_is_due_is_asked_for_once_and_not_right_after_an_error(bench: Workbench) -> None:
    started(bench)
    bench.work()
    now = bench.engine.store.now()
    bench.engine.due.schedule("retry:web@n1", now)
    bench.engine.pulse.set("due_not_before", now + 60)
    sweep(bench.engine)
    assert bench.sent == []
    bench.engine.pulse.set("due_not_before", now - 1)
    sweep(bench.engine)
    assert bench.tasks() == ["pull"]
    sweep(bench.engine)
    assert bench.tasks() == ["pull"]


def test_nothing_that_is_due_later_is_asked_for(bench: Workbench) -> None:
    bench.engine.due.schedule("retry:web@n1", bench.engine.store.now() + 60)
    sweep(bench.engine)
    assert bench.sent == []
    assert bench.engine.pulse.get("beat")


def test_steps_do_not_wait_for_ever_for_a_node_that_is_gone(bench: Workbench) -> None:
    node = Node("n2", boot="x", seen_at=time.time() - NODE_GRACE - 1)
    bench.engine.nodes.beat(node)
    bench.engine.nodes.leave(node)
    steps = [manual_step("remove", "web", name, stamp()) for name in ("n1", "n2")]
    asked = ask_for_steps(bench.engine, steps)
    bench.sent = [(run, step) for run, step in bench.sent if step.node == "n1"]
    aged(bench)
    sweep(bench.engine)
    bench.work()
    record = bench.engine.runs.record(asked.run)
    assert record is not None
    states = {step["node"]: (step["state"], step["reason"]) for step in record["steps"]}
    assert states == {"n1": ("ok", ""), "n2": ("failed", "NodeDown")}


def test_a_node_that_goes_and_comes_is_told_once_each(bench: Workbench) -> None:
    node = Node("n2", boot="x", seen_at=time.time())
    bench.engine.nodes.beat(node)
    for _ in range(2):
        sweep(bench.engine)
    bench.engine.nodes.leave(node)
    for _ in range(2):
        sweep(bench.engine)
    bench.engine.nodes.beat(node)
    for _ in range(2):
        sweep(bench.engine)
    told = [event.name for event in bench.events() if event.node == "n2"]
    assert told == ["node.up", "node.down", "node.up"]
    assert "node:n2" in bench.engine.due.due(bench.engine.store.now())


def test_a_node_that_never_was_there_is_not_told_as_lost(bench: Workbench) -> None:
    node = Node("n2", boot="x")
    bench.engine.nodes.beat(node)
    bench.engine.nodes.leave(node)
    sweep(bench.engine)
    assert [event.name for event in bench.events() if event.node == "n2"] == []


def test_a_sweep_and_the_end_of_a_run_may_happen_at_once(bench: Workbench) -> None:
    started(bench)
    bench.work()
    run = bench.engine.runs.recent()[0]["run"]
    finish(bench.engine, run)
    sweep(bench.engine)
    assert len(bench.events("reconcile.stop")) == 1


def test_when_a_node_is_no_longer_waited_for_its_apps_are_placed_anew(bench: Workbench) -> None:
    node = Node("n2", boot="x", seen_at=time.time())
    bench.engine.nodes.beat(node)
    sweep(bench.engine)
    bench.engine.nodes.leave(node)
    sweep(bench.engine)
    due = dict(bench.engine.store.client.zrange(bench.engine.store.key("due"), 0, -1, withscores=True))
    assert due["node:n2"] == node.seen_at + NODE_GRACE


def test_a_node_that_is_there_looks_again_about_each_interval() -> None:
    nodes = {"n1": Node("n1"), "n2": Node("n2", alive=False)}
    assert list(to_look_at(nodes, {}, 1000.0, 10.0)) == ["n1"]
    assert list(to_look_at(nodes, {"n1": 995.1}, 1000.0, 10.0)) == []
    assert list(to_look_at(nodes, {"n1": 995.0}, 1000.0, 10.0)) == ["n1"]


def test_a_message_is_sent_again_only_when_the_first_was_dropped() -> None:
    assert resend_after(15.0) == 30.0


def test_a_sweep_that_dies_after_giving_a_step_up_leaves_it_to_be_tried_again(bench: Workbench) -> None:
    started(bench)
    run, step = bench.until("deploy")
    for _ in range(3):
        claim = bench.engine.runs.claim(run, step.id, stamp(), 30)
        assert isinstance(claim, Claim)
        bench.engine.store.client.delete(bench.engine.store.key("lease", step.resource))
        swept = bench.engine.runs.sweep()  # and its caller dies here, each time
    assert [lost.id for lost in swept.lost] == [step.id]
    sweep(bench.engine)
    assert bench.engine.runs.current() is None
    outcome = bench.engine.outcomes.get("web", "n1")
    assert outcome is not None
    assert (outcome.result, outcome.reason) == ("failed", "WorkerLost")
    assert "retry:web@n1" in bench.engine.due.due(outcome.not_before)
