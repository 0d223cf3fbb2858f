"""The end of a run: its record, its answers, the run after it."""

from __future__ import annotations

import pytest
from workbench import Workbench

from reconciler.finish import answer, finish, note_blocked, progress_of, record_of
from reconciler.steps import PULL
from state.steps import Ask, Blocked, Run, Step, StepRecord, StepState

NOW = 1_700_000_010.5


def run(**facts: object) -> Run:
    return Run("r1", 1_700_000_000.0, 0, (Ask("beat"), Ask("hand")), {"revision": "abc", **facts})


def record(id_: str, state: StepState, task: str = "deploy", app: str = "web", **fields: str) -> StepRecord:
    step = Step(id_, task, "node.n1", app=app, node="n1" if app else "", action=task)
    return StepRecord(step, state, **fields)


def test_a_record_has_the_shape_of_the_contract() -> None:
    records = [
        record("pull", "ok", "pull", app=""),
        record("web@n1", "failed", reason="StartFailed", message="boom"),
        record("db@n1", "ok", app="db"),
    ]
    assert record_of(run(), records, NOW) == {
        "run": "r1",
        "trigger": "beat",
        "revision": "abc",
        "status": "degraded",
        "started_at": "2023-11-14T22:13:20.000Z",
        "finished_at": "2023-11-14T22:13:30.500Z",
        "duration": 10.5,
        "steps": [
            {
                "app": "web", "node": "n1", "task": "deploy", "action": "deploy", "state": "failed",
                "reason": "StartFailed", "message": "boom",
            },
            {
                "app": "db", "node": "n1", "task": "deploy", "action": "deploy", "state": "ok", "reason": "",
                "message": "",
            },
        ],
        "counts": {"failed": 1, "ok": 1},
        "error": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("state", "facts", "status"),
    [
        ("ok", {}, "synced"),
        ("superseded", {}, "synced"),
        ("failed", {}, "degraded"),
        ("blocked", {}, "degraded"),
        ("ok", {"held": 1}, "degraded"),
        ("ok", {"error": "RemoteUnreachable: no route"}, "error"),
    ],
)
def test_how_a_run_ended(state: StepState, facts: dict[str, object], status: str) -> None:
    assert record_of(run(**facts), [record("web@n1", state)], NOW)["status"] == status


def test_a_failed_phase_is_the_error_of_the_run_and_a_tolerated_one_is_not() -> None:
    failed = record("diff", "failed", "diff", app="", reason="PlanChanged", message="look again")
    tolerated = record("observe@n1", "tolerated", "observe", app="", reason="RuntimeFailure", message="no answer")
    made = record_of(run(), [failed, tolerated], NOW)
    assert (made["status"], made["error"]) == ("error", "PlanChanged: look again")
    assert [(step["task"], step["state"]) for step in made["steps"]] == [("diff", "failed"), ("observe", "failed")]
    assert made["counts"] == {}


def test_the_progress_of_an_open_run_shows_every_step() -> None:
    made = progress_of(run(), [record("pull", "ok", "pull", app=""), record("web@n1", "running")])
    assert (made["status"], made["finished_at"], made["duration"]) == ("syncing", None, None)
    assert made["counts"] == {"ok": 1, "running": 1}
    assert set(made) == set(record_of(run(), [], NOW))


def test_what_is_blocked_is_remembered_with_whom_it_waits_for(bench: Workbench) -> None:
    step = Step("web@n1", "deploy", "node.n1", app="web", node="n1", action="deploy", digest="r1-e1-d1")
    for _ in range(2):
        note_blocked(bench.engine, "r1", [Blocked(step, "db", "db failed"), Blocked(PULL, "x", "y")])
    outcomes = bench.engine.outcomes.all()
    assert list(outcomes) == [("web", "n1")]
    outcome = outcomes["web", "n1"]
    assert (outcome.result, outcome.by, outcome.message, outcome.run) == ("blocked", "db", "db failed", "r1")


def test_a_run_is_closed_once_and_told_once_however_often_it_is_ended(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    request = bench.ask()
    bench.work()
    ended = bench.answers[request]["run"]
    finish(bench.engine, ended)
    assert len(bench.events("reconcile.stop")) == 1
    stop = bench.events("reconcile.stop")[0]
    assert (stop.run, stop.result, stop.extra) == (ended, "synced", {"ok": 1})
    assert bench.engine.pulse.get("last_sync")


def test_a_result_that_could_not_be_stored_is_stored_later(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    store_answer = bench.engine.answer

    def away(request: str, record: object) -> None:
        raise ConnectionError("away")

    bench.engine.answer = away
    request = bench.ask()
    with pytest.raises(ConnectionError):
        bench.work()
    assert list(bench.engine.runs.unanswered()) == [request]
    bench.engine.answer = store_answer
    answer(bench.engine)
    assert bench.answers[request]["status"] == "synced"
    assert bench.engine.runs.unanswered() == {}


def test_a_run_that_failed_lets_what_it_did_not_see_to_wait_a_moment(bench: Workbench) -> None:
    bench.engine.due.schedule("drift:n1", 1.0)
    assert bench.sync()["status"] == "error"  # an empty repository
    wait = bench.engine.pulse.get("due_not_before")["due_not_before"]
    assert wait > bench.engine.store.now()
    assert bench.engine.pulse.get("last_sync") == {}
    assert bench.events("reconcile.error")


def test_an_idle_tick_ends_with_a_sign_of_life_and_no_record(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    bench.engine.pulse.set("last_sync", 1.0)
    recent = bench.engine.runs.recent()
    bench.sync("beat")
    assert bench.engine.runs.recent() == recent
    assert bench.engine.pulse.get("last_sync")["last_sync"] > 1.0
