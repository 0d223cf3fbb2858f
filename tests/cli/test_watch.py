"""The live overview, on a real Redis: on a terminal and elsewhere, and through a Redis that is away."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest
from terminals import Terminal
from workbench import Workbench

from cli import watch
from cli.watch import watch_status

GONE = "unix:///nowhere/redis.sock"


class EndedError(Exception):
    """The test has seen enough."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_EVERY", 0.0)


@pytest.fixture
def web(bench: Workbench) -> Workbench:
    bench.app("web")
    bench.commit()
    bench.sync()
    return bench


def between(*actions: Callable[[], object]) -> Callable[[], None]:
    """Between two looks each of these is done; then it ends."""
    left = iter(actions)

    def check() -> None:
        action = next(left, None)
        if action is None:
            raise EndedError
        action()

    return check


def seen(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], object], footer: str = "") -> str:
    """What is on the terminal after watching, with all that moved the cursor there."""
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    with pytest.raises(EndedError):
        watch_status(footer, check=between(*actions))
    return terminal.text()


def upgrade(bench: Workbench) -> None:
    bench.app("web", "2.0.0")
    bench.commit()
    bench.sync()


def test_in_a_pipe_a_change_is_a_line_and_what_stays_is_none(
    web: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EndedError):
        watch_status(check=between(int, lambda: upgrade(web), int))
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert [line.partition(" at ")[0] for line in lines] == [
        "synced", "web 1.0.0: synced, running, healthy", "synced", "web 2.0.0: synced, running, healthy",
    ]  # fmt: skip


def test_a_redis_that_is_away_is_told_once_and_what_changed_meanwhile_when_it_is_back(
    web: Workbench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def back() -> None:
        monkeypatch.setenv("REDIS_URL", web.engine.store.url)
        upgrade(web)

    with pytest.raises(EndedError):
        watch_status(check=between(lambda: monkeypatch.setenv("REDIS_URL", GONE), int, back, int))
    lines = capsys.readouterr().out.splitlines()
    assert [line.startswith("waiting: ") for line in lines] == [False, False, True, False, False]
    assert GONE in lines[2]
    assert lines[4].endswith("web 2.0.0: synced, running, healthy")


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_terminal_shows_the_overview_whether_it_can_be_redrawn_or_not(
    web: Workbench, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    monkeypatch.setenv("TERM", term)
    with Terminal() as terminal:
        told = seen(terminal, monkeypatch, lambda: upgrade(web))
    assert ("\x1b[" in told) is (term == "xterm")
    assert "1.0.0" in told
    assert "2.0.0" in told


def test_a_redis_that_is_away_is_said_on_the_screen_and_the_screen_stays(
    web: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Terminal() as terminal:
        told = seen(
            terminal, monkeypatch, lambda: monkeypatch.setenv("REDIS_URL", GONE),
            lambda: monkeypatch.setenv("REDIS_URL", web.engine.store.url), footer="Ctrl-C stops it",
        )  # fmt: skip
    assert "waiting: " in told
    assert told.count("Ctrl-C stops it") >= 3
    assert told.rindex("healthy") > told.index("waiting: ")
    assert told.endswith("\x1b[?25h")


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (20, 5), (1, 1), (300, 3)])
def test_no_screen_is_higher_or_wider_than_the_terminal(
    web: Workbench, monkeypatch: pytest.MonkeyPatch, columns: int, lines: int
) -> None:
    for number in range(10):
        web.app(f"app-{number}")
    web.commit()
    web.sync()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    with Terminal() as terminal:
        told = seen(terminal, monkeypatch, footer="the dashboard is at http://127.0.0.1:5555")
    drawn = told.partition("\x1b[?25l")[2].partition("\r\x1b[2K")[0]  # until it goes back to draw the next one
    screen = re.sub(r"\x1b\[[0-9;]*m", "", drawn).splitlines()
    assert 0 < len(screen) <= lines
    assert max(map(len, screen)) <= columns
