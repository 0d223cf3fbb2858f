"""A run that is followed to its end, on a real Redis: on a terminal, in a pipe, and when another run is open."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from terminals import Terminal
from workbench import Workbench

from cli import follow
from cli.follow import RunLost, carry_out, watch
from tasks import api

MESSAGE = "no version of web satisfies ==1.0.0\n  newest is 0.9\n  " + "x" * 300


@pytest.fixture
def failing(bench: Workbench) -> Workbench:
    """Two apps: one whose deploy fails, and one that needs it."""
    bench.app("db", NOOP_FAIL="deploy")
    bench.app("web", more="depends_on: [db]")
    bench.commit()
    return bench


def then_done(bench: Workbench, request: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
    """`request`, after which all the work is done."""

    def asked() -> Mapping[str, Any]:
        answer = request()
        bench.work()
        return answer

    return asked


def stepwise(bench: Workbench) -> Callable[[], float]:
    """A clock, each look at which does the next step."""

    def clock() -> float:
        if bench.sent:
            bench.step()
        return 0.0

    return clock


def test_in_a_pipe_each_end_is_a_line_and_a_failure_is_told_once(
    failing: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    run = api.request_sync()["run"]
    record = watch(run, clock=stepwise(failing))
    told = capsys.readouterr().err
    lines = told.splitlines()
    assert record["status"] == "degraded"
    assert told.count("db on n1: deploy failed (StartFailed: ") == 1
    assert told.count("web on n1: deploy blocked") == 1
    assert lines[0].startswith("repository: pull ")
    assert lines[-1].startswith(f"run {run} ended: degraded at ")


def test_what_failed_before_anybody_looked_is_told_once_too(
    failing: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    carry_out(then_done(failing, api.request_sync))
    assert capsys.readouterr().err.count("deploy failed") == 1


def test_a_failure_is_told_whole_whatever_the_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = {"app": "web", "node": "n1", "task": "deploy", "state": "failed", "message": MESSAGE}
    monkeypatch.setattr(api, "run_record", lambda run: {"run": run, "status": "degraded", "steps": [step]})
    watch("r")
    first, *more = MESSAGE.splitlines()
    assert capsys.readouterr().err.splitlines()[:3] == [f"web on n1: deploy failed ({first})", *more]


@pytest.mark.parametrize(("term", "redrawn"), [("xterm", True), ("dumb", False)])
def test_a_terminal_is_redrawn_where_it_can_be_and_tells_a_failure_once(
    failing: Workbench, monkeypatch: pytest.MonkeyPatch, term: str, redrawn: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(follow, "_POLL", 0.0)
    with Terminal() as terminal:
        monkeypatch.setattr(sys, "stderr", terminal.stream)
        watch(api.request_sync()["run"], clock=stepwise(failing))
        told = terminal.text()
    assert ("\x1b[" in told) is redrawn
    assert ("steps" in told) is redrawn
    assert ("repository: pull ok" in told) is not redrawn
    assert told.count("db on n1: deploy failed") == 1
    assert " ended: " in told


def test_colours_that_are_forced_make_no_terminal_of_a_pipe(
    failing: Workbench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    watch(api.request_sync()["run"], clock=stepwise(failing))
    told = capsys.readouterr().err
    assert "\x1b[2K" not in told
    assert "\x1b[?25l" not in told
    assert "\x1b[31m" in told or "\x1b[33m" in told
    assert "repository: pull ok" in told


def test_a_run_that_ends_between_two_looks_is_told_of_also_where_another_follows_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = iter([None, {"run": "r1", "status": "degraded", "steps": []}])
    monkeypatch.setattr(api, "run_record", lambda run: next(records))
    monkeypatch.setattr(api, "run_progress", lambda run: None)
    assert watch("r1", until=lambda: True)["run"] == "r1"
    assert capsys.readouterr().err == "run r1 ended: degraded\n"


def test_what_was_asked_for_during_a_run_is_done_once_and_its_record_is_the_answer(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    first = api.request_sync()["run"]
    record = carry_out(then_done(bench, lambda: api.request_sync(force=True)))
    assert record["run"] == api.run_following(first) != first
    assert bench.engine.runs.current() is None
    assert [one["run"] for one in bench.engine.runs.recent()] == [record["run"], first]


def test_a_run_with_nothing_to_do_that_was_open_is_no_error(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    bench.ask("beat")
    record = carry_out(then_done(bench, api.request_sync))
    assert (record["trigger"], record["status"]) == ("hand", "synced")
    assert bench.engine.runs.current() is None


def test_what_is_done_by_hand_in_a_run_that_has_nothing_else_to_do_has_a_record(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    bench.ask("beat")
    record = carry_out(then_done(bench, lambda: api.restart("web")))
    assert [(step["app"], step["action"], step["state"]) for step in record["steps"]] == [("web", "restart", "ok")]


def test_a_run_that_nobody_knows_is_lost_with_what_to_do(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_POLL", 3.0)
    with pytest.raises(RunLost) as caught:
        watch("nothing", until=lambda: True)
    assert caught.value.hint == "see how it stands: celeriac status"


def test_redis_that_goes_away_in_the_middle_ends_the_command_in_one_line(bench: Workbench, tmp_path: Path) -> None:
    run = api.request_sync()["run"]
    code = (
        "import os, sys\n"
        "from cli.exits import guard\n"
        "from cli.follow import watch\n"
        "def clock():\n"
        "    os.environ['REDIS_URL'] = 'unix:///nowhere/redis.sock'\n"
        "    return 0.0\n"
        "looks = iter([0.0])\n"
        f"sys.exit(guard(lambda: watch({run!r}, clock=lambda: next(looks, None) or clock())))\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
