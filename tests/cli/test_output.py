"""Where commands write: a pipe, a file, a terminal, one with colours off."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text
from terminals import Terminal

from cli import output
from cli.output import console, print_json, print_json_line, redraws, show


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def on_terminal(monkeypatch: pytest.MonkeyPatch, what: object) -> str:
    """What a terminal shows of it."""
    with Terminal() as terminal:
        monkeypatch.setattr(sys, "stdout", terminal.stream)
        show(what)
        return terminal.text()


def test_json_is_one_document_with_times_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": datetime(2026, 3, 1, tzinfo=UTC), "name": "ünd \x1b[31m", "none": None})
    told = capsys.readouterr().out
    assert json.loads(told) == {"at": "2026-03-01T00:00:00Z", "name": "ünd \x1b[31m", "none": None}
    assert "\x1b" not in told
    assert told.endswith("}\n")


def test_a_stream_of_json_is_a_line_each_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("a\nb", "\u2028"):
        print_json_line({"line": text})
    lines = capsys.readouterr().out.split("\n")
    assert [json.loads(line)["line"] for line in lines[:-1]] == ["a\nb", "\u2028"]
    assert lines[-1] == ""


def test_a_pipe_gets_no_colours_and_a_width_that_cuts_nothing_short(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(box=None, show_header=False)
    table.add_row(Text("a" * 90, style="red"), "b" * 90)
    show(table)
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert f"{'a' * 90}  {'b' * 90}" in told


@pytest.mark.parametrize("width", [1, 20, 80])
def test_a_terminal_has_its_own_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    told = on_terminal(monkeypatch, Text("word " * 100))
    assert max(len(line) for line in told.splitlines()) <= width


def test_colours_are_on_a_terminal_and_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[31mred" in on_terminal(monkeypatch, Text("red", style="red"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert on_terminal(monkeypatch, Text("red", style="red")).strip() == "red"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert on_terminal(monkeypatch, Text("red", style="red")).strip() == "red"


def test_nothing_in_a_text_is_read_as_markup_or_made_prettier(capsys: pytest.CaptureFixture[str]) -> None:
    show(Text("[red]x[/red] :smile: 127.0.0.1 'text'"))
    assert capsys.readouterr().out == "[red]x[/red] :smile: 127.0.0.1 'text'\n"


@pytest.mark.parametrize(
    ("environ", "redrawn"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "FORCE_COLOR": "1"}, True),
        ({"TERM": "xterm", "FORCE_COLOR": ""}, False),  # to rich that is no terminal, and it would draw nothing
        ({"TERM": "dumb"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": ""}, False),
    ],
)
def test_a_terminal_is_redrawn_where_rich_can(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], redrawn: bool
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with Terminal() as terminal:
        monkeypatch.setattr(sys, "stderr", terminal.stream)
        assert redraws(console(stderr=True)) is redrawn


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_file_is_never_redrawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert not redraws(console())


def test_a_pipe_that_was_closed_is_left_to_whoever_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        output.show("text")
