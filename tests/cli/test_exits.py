"""How errors become messages and exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import click
import pytest

from celeriac.errors import CeleriacError, MisuseError
from cli import exits


def raising(error: BaseException) -> Any:
    def body() -> NoReturn:
        raise error

    return body


def app(sync: str) -> dict[str, Any]:
    return {"sync": sync}


def test_an_error_is_said_in_a_line_with_its_hint_below(capsys: pytest.CaptureFixture[str]) -> None:
    code = exits.guard(raising(CeleriacError("web: does not build", hint="fix apps/web/app.yaml")))
    assert code == 1
    assert capsys.readouterr().err == "error: web: does not build\n  fix apps/web/app.yaml\n"


def test_a_misuse_ends_with_2() -> None:
    assert exits.guard(raising(MisuseError("there is no app nosuch"))) == 2


def test_an_escape_sequence_in_a_message_does_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    exits.guard(raising(CeleriacError("bad \x1b[2J\x1b]0;title\x07 commit")))
    assert capsys.readouterr().err == "error: bad  commit\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_is_quiet_and_ends_with_130(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert exits.guard(raising(error)) == 130
    assert capsys.readouterr() == ("", "")


def test_unforeseen_error_is_one_line_without_its_text_and_kept_in_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CELERIAC_HOME", str(tmp_path))
    monkeypatch.delenv("CELERIAC_DEBUG", raising=False)
    assert exits.guard(raising(ValueError("redis://:hunter2@db"))) == 1
    told = capsys.readouterr().err
    kept = tmp_path / "logs" / "celeriac.cli.log"
    assert told.startswith("error: unexpected ValueError")
    assert str(kept) in told
    assert "hunter2" not in told
    assert "Traceback" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CELERIAC_DEBUG", "1")
    assert exits.guard(raising(ValueError("what went wrong"))) == 1
    assert "what went wrong" in capsys.readouterr().err


def test_own_redis_not_answering_means_that_celeriac_is_not_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CELERIAC_HOME", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert exits.guard(raising(CeleriacError("no such socket", reason="StateUnavailable"))) == 1
    assert capsys.readouterr().err == "error: Celeriac is not running\n  start it with: celeriac up\n"


@pytest.mark.parametrize(
    ("overall", "syncs", "code"),
    [
        ("synced", ["synced", "suspended"], 0),
        ("ready", [], 0),
        ("initializing", [], 0),
        ("syncing", ["synced", "out_of_sync"], 3),
        ("synced", ["unknown"], 3),
        ("degraded", ["synced"], 3),
        ("error", ["synced"], 1),
    ],
)
def test_exit_code_tells_whether_all_is_as_git_says(overall: str, syncs: list[str], code: int) -> None:
    apps = {f"app{number}": app(sync) for number, sync in enumerate(syncs)}
    assert exits.of_status({"status": overall, "apps": apps}) == code


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"status": "synced", "steps": [{"state": "ok"}]}, 0),
        ({"status": "synced", "steps": [{"state": "ok"}, {"state": "blocked"}]}, 3),
        ({"status": "degraded", "steps": []}, 3),
        ({"status": "error", "steps": []}, 1),
        ({"status": "synced", "steps": [], "error": "it was abandoned"}, 1),
    ],
)
def test_exit_code_tells_how_a_run_ended(record: dict[str, Any], code: int) -> None:
    assert exits.of_run(record) == code
