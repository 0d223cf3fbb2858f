"""`celeriac logs`: several processes, odd bytes, colours, and every line once while it is followed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from workbench import Workbench

from cli.main import celeriac
from runtimes import logs
from tasks import api


@pytest.fixture
def folder(bench: Workbench) -> Path:
    """Where the app `web` prints to."""
    bench.app("web")
    bench.commit()
    bench.sync()
    made = bench.engine.settings.home / "logs"
    made.mkdir()
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(celeriac, ["logs", *arguments])


def following(monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], object], arguments: tuple[str, ...] = ()) -> str:
    """What `logs -f` prints when these are done, one between two looks; the first before it looks at all."""
    left = iter(actions)
    real = logs.follow

    def follow(*given: Any, **options: Any) -> Iterator[logs.LogLine]:
        def stop() -> bool:
            action = next(left, None)
            if action is not None:
                action()
            return action is None

        yield from real(*given, **options, stop=stop, every=0.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(logs, "follow", follow)
    result = run("web", "-f", *arguments)
    assert result.exit_code == 130
    return result.stdout


def test_an_app_of_one_process_has_no_labels_and_one_of_several_has(folder: Path) -> None:
    (folder / "web.main.log").write_text("one\n")
    assert run("web").stdout == "one\n"
    (folder / "web.worker.log").write_text("two\n")
    assert run("web").stdout == "main | one\nworker | two\n"
    assert run("web", "-p", "worker").stdout == "two\n"


def test_nothing_printed_yet_is_said_beside_the_output(folder: Path) -> None:
    result = run("web")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "web has printed nothing yet.\n")
    assert json.loads(run("web", "--json").stdout) == []


def test_no_lines_that_were_asked_for_are_not_said_to_be_none_printed(folder: Path) -> None:
    (folder / "web.main.log").write_text("one\n")
    result = run("web", "-n", "0")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_an_app_that_there_is_not_is_misuse_when_it_is_followed_too(folder: Path) -> None:
    for arguments in (("wbe",), ("wbe", "-f")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "there is no app 'wbe'" in result.stderr


def test_odd_bytes_and_what_steers_a_terminal_do_no_harm_and_colours_stay(folder: Path) -> None:
    (folder / "web.main.log").write_bytes(b"\xff\xfe odd\n\x1b]0;title\x07\x1b[2J\x1b[31mred\r\n")
    shown = CliRunner().invoke(celeriac, ["logs", "web"], color=True).stdout
    assert shown == "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} odd\n]0;title\x1b[31mred\x1b[0m\n"
    assert "\x1b" not in run("web").stdout
    assert [entry["process"] for entry in json.loads(run("web", "--json").stdout)] == ["main", "main"]


def test_a_line_that_comes_while_following_begins_is_not_lost_and_half_a_line_not_told_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = folder / "web.main.log"
    log.write_text("before\nhalf")
    real = api.logs

    def looked(*given: Any, **options: Any) -> Any:
        found = real(*given, **options)
        with log.open("a") as file:
            file.write(" and half\nin between\n")
        return found

    monkeypatch.setattr(api, "logs", looked)
    assert following(monkeypatch, int) == "before\nhalf and half\nin between\n"


def test_several_processes_are_told_apart_while_they_are_followed_from_no_line_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def print_more() -> None:
        for name in ("main", "worker"):
            with (folder / f"web.{name}.log").open("a") as file:
                file.write(f"of {name}\n")

    print_more()
    told = following(monkeypatch, int, print_more, int, arguments=("-n", "0"))
    assert told == "main | of main\nworker | of worker\n"


def test_a_process_that_begins_to_print_later_brings_the_labels_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "web.main.log").write_text("one\n")
    told = following(monkeypatch, int, lambda: (folder / "web.worker.log").write_text("two\n"), int)
    assert told == "one\nworker | two\n"


def test_what_is_followed_as_json_is_a_document_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "web.main.log").write_text("one\ntwo\n")
    told = following(monkeypatch, int, arguments=("--json", "-n", "1"))
    assert [json.loads(line) for line in told.splitlines()] == [{"process": "main", "line": "two"}]
