"""The kills that are remembered: each once, told at least once, and not without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtimes import overruns
from runtimes.overruns import Overrun


def overrun(instance: str = "7-1", at: float = 1.0) -> Overrun:
    return Overrun("main", instance, at, 64_000_000, "cgroup v2")


@pytest.fixture
def app(tmp_path: Path) -> str:
    return str(tmp_path / "web")


def test_one_kill_is_news_once_however_many_find_out(app: str) -> None:
    assert overruns.note(app, overrun())
    assert not overruns.note(app, overrun(at=2.0))
    assert overruns.untold(app) == [overrun()]


def test_what_was_told_is_not_told_again_and_still_known(app: str) -> None:
    overruns.note(app, overrun())
    overruns.note(app, overrun("8-2", at=2.0))
    for _ in range(2):
        overruns.told(app, overrun())
    assert overruns.untold(app) == [overrun("8-2", at=2.0)]
    assert overruns.known(app) == [overrun(), overrun("8-2", at=2.0)]
    assert not overruns.note(app, overrun()), "found out about late, by somebody else"


def test_it_is_known_of_the_very_process(app: str) -> None:
    overruns.note(app, overrun())
    assert overruns.of(app, "main", "7-1") == overrun()
    assert overruns.of(app, "main", "7-2") is None
    assert overruns.of(app, "worker", "7-1") is None


def test_an_app_in_a_loop_fills_no_disk(app: str) -> None:
    for number in range(40):
        overruns.note(app, overrun(f"7-{number}", float(number)))
    assert [one.at for one in overruns.known(app)] == [float(number) for number in range(30, 40)]


def test_what_cannot_be_read_is_passed_over(app: str) -> None:
    overruns.note(app, overrun())
    for name, text in (("a.json", "{"), ("b.json", "[]"), ("c.json", '{"x": 1}'), (".9", "")):
        (Path(app) / "run" / ".overruns" / name).write_text(text)
    assert overruns.known(app) == [overrun()]
    assert overruns.known("/nowhere") == []


def test_it_reads_like_a_sentence() -> None:
    assert str(overrun()) == "killed: over its memory limit of 64MB (cgroup v2)"
