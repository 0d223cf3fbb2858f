"""`celeriac rollback`, `restart`, `remove` and `sync`, carried out on a real Redis: what they print, how they end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from workbench import Workbench

from cli.main import celeriac
from tasks import api


@pytest.fixture
def web(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """One app that runs, and a worker that does at once what is asked for."""
    bench.app("web")
    bench.commit()
    bench.sync()
    for name in ("rollback", "restart", "remove", "request_sync"):
        real = getattr(api, name)

        def asked(*given: Any, real: Any = real, **options: Any) -> Any:
            answer = real(*given, **options)
            bench.work()
            return answer

        monkeypatch.setattr(api, name, asked)
    return bench


def run(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(celeriac, list(arguments), input=text)


def test_a_restart_is_followed_on_standard_error_and_standard_output_is_empty(web: Workbench) -> None:
    result = run("restart", "web")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "web on n1: restart ok\n" in result.stderr


def test_json_is_the_record_alone(web: Workbench) -> None:
    result = run("restart", "web", "--json")
    record = json.loads(result.stdout)
    assert (record["status"], record["steps"][0]["state"]) == ("synced", "ok")


def test_what_is_not_waited_for_says_where_to_look(web: Workbench) -> None:
    result = run("restart", "web", "--no-wait")
    assert result.exit_code == 0
    assert "is on its way. See it with: celeriac status --watch" in result.stdout
    assert json.loads(run("restart", "web", "--no-wait", "--json").stdout)["started"] is True


def test_a_roll_back_to_what_was_never_there_fails_with_1(web: Workbench) -> None:
    result = run("rollback", "web", "--to", "9.9")
    assert result.exit_code == 1
    assert result.stderr.count("rollback failed") == 1
    assert web.live("web").version == "1.0.0"


@pytest.mark.parametrize("command", ["rollback", "restart", "remove"])
def test_an_app_that_there_is_not_is_misuse(web: Workbench, command: str) -> None:
    result = run(command, "wbe")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no app 'wbe'" in result.stderr
    assert "web" in result.stderr.splitlines()[1]


def test_a_script_is_not_asked_before_an_app_is_removed(web: Workbench) -> None:
    assert run("remove", "web").exit_code == 0
    assert web.live("web") is None


def test_a_person_is_asked_and_no_is_no(web: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.commands.change.sys.stdin.isatty", lambda: True, raising=False)
    from click import testing

    monkeypatch.setattr(testing._NamedTextIOWrapper, "isatty", lambda self: True, raising=False)
    result = run("remove", "web", text="n\n")
    assert result.exit_code != 0
    assert web.live("web") is not None
    assert run("remove", "web", "--yes").exit_code == 0
    assert web.live("web") is None


def test_a_sync_that_is_waited_for_ends_as_its_run_did(web: Workbench) -> None:
    assert run("sync", "--wait").exit_code == 0
    web.app("web", "2.0.0", NOOP_FAIL="build")
    web.commit()
    result = run("sync", "--wait")
    assert result.exit_code == 3
    assert result.stderr.count("upgrade failed") == 1
    record = json.loads(run("sync", "--wait", "--force", "--json").stdout)
    assert (record["status"], record["counts"]) == ("degraded", {"failed": 1})


def test_a_sync_that_is_not_waited_for_says_whether_one_was_going_on(web: Workbench) -> None:
    assert "is on its way" in run("sync").stdout
    web.ask("beat")
    result = run("sync")
    assert result.exit_code == 0
    assert "is going on; a sync follows right after it" in result.stdout
