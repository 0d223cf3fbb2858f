"""A run as it goes on and as it ended."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from cli.screens.run import StepKey, progress, step_lines, summary


def step(app: str, state: str, task: str = "deploy", **given: Any) -> dict[str, Any]:
    return {"app": app, "node": "n1", "task": task, "state": state, "reason": "", "message": "", **given}


def test_each_change_of_a_step_is_a_line_once() -> None:
    seen: dict[StepKey, int] = {}
    first = {"run": "r", "steps": [step("db", "running"), step("web", "pending")]}
    second = {"run": "r", "steps": [step("db", "ok"), step("web", "failed", reason="BuildFailed", message="no such")]}
    assert list(step_lines(seen, first)) == ["db on n1: deploy running"]
    assert list(step_lines(seen, first)) == []
    assert list(step_lines(seen, second)) == ["db on n1: deploy ok", "web on n1: deploy failed (BuildFailed: no such)"]


def test_steps_of_one_name_are_told_of_once_each_in_whatever_order_they_come() -> None:
    seen: dict[StepKey, int] = {}
    one, other = step("web", "ok", action="restart"), step("web", "running", action="restart")
    assert list(step_lines(seen, {"steps": [{**one, "state": "running"}, {**other, "state": "ready"}]})) == [
        "web on n1: restart running"
    ]
    assert list(step_lines(seen, {"steps": [other, one]})) == ["web on n1: restart ok", "web on n1: restart running"]
    assert list(step_lines(seen, {"steps": [one, other]})) == []
    ended = {"run": "r1", "status": "degraded", "steps": [one, {**other, "state": "failed", "message": "no"}]}
    assert list(step_lines(seen, ended)) == ["web on n1: restart failed (no)"]
    assert len(list(summary(ended, seen))) == 1


def test_screen_of_a_large_run_stays_small() -> None:
    steps = [step(f"app-{number}", "running") for number in range(500)]
    out = io.StringIO()
    Console(file=out, width=80).print(progress({"run": "r1", "steps": steps}, 3.0))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("run r1  0 of 500 steps")
    assert len(lines) == 14
    assert lines[-1] == "… and 488 more"


def test_summary_tells_the_end_and_each_step_that_did_not_do_its_work() -> None:
    record = {
        "run": "r1",
        "revision": "b" * 40,
        "status": "degraded",
        "duration": 4.25,
        "steps": [step("db", "failed", reason="BuildFailed", message="no"), step("web", "blocked"), step("x", "ok")],
        "counts": {"ok": 1, "failed": 1, "blocked": 1, "pending": 0},
        "error": "",
    }
    assert [line.plain for line in summary(record)] == [
        "run r1 ended: degraded at bbbbbbbbb  1 ok, 1 failed, 1 blocked  in 4.2s",
        "db on n1: deploy failed (BuildFailed: no)",
        "web on n1: deploy blocked",
    ]


def test_error_of_the_run_itself_is_told() -> None:
    record = {"run": "r1", "status": "error", "error": "the repository cannot be reached"}
    assert [line.plain for line in summary(record)][1] == "error: the repository cannot be reached"


def test_what_was_told_of_a_step_is_not_in_the_summary_and_what_became_of_it_since_is() -> None:
    steps = [step("db", "failed", message="no"), step("web", "blocked", message="needs db")]
    seen = {("db", "n1", "deploy", "failed"): 1, ("web", "n1", "deploy", "running"): 1}
    told = [line.plain for line in summary({"run": "r1", "status": "degraded", "steps": steps}, seen)]
    assert told == ["run r1 ended: degraded", "web on n1: deploy blocked (needs db)"]


def test_a_failure_is_told_with_its_output_as_it_is() -> None:
    steps = [step("web", "failed", reason="StartFailed", message="it ended\n  [1] \x1b[31mboom\x1b[0m\n  see: logs")]
    told = [line.plain for line in summary({"run": "r1", "status": "degraded", "steps": steps})]
    assert told[1] == "web on n1: deploy failed (StartFailed: it ended)\n  [1] boom\n  see: logs"
