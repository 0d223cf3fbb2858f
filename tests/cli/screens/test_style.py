"""Words, cells and tables: every state has its colour, and what comes from elsewhere stays text."""

from __future__ import annotations

import io
from typing import Any, get_args

import pytest
from rich.console import Console
from rich.text import Text

from cli.screens.style import COLOURS, facts, fluid, narrowed, plain, table, word
from specs.appstate import HealthStatus, Status
from state.steps import StepState


def shown(what: Any, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, emoji=False, highlight=False).print(what)
    return out.getvalue()


@pytest.mark.parametrize("state", [*get_args(Status), *get_args(HealthStatus)])
def test_every_state_of_an_app_has_a_colour(state: str) -> None:
    assert state in COLOURS


def test_every_way_in_which_a_step_did_not_do_its_work_has_a_colour() -> None:
    assert {"failed", "blocked", "superseded"} <= COLOURS.keys() & set(get_args(StepState))


def test_a_word_is_as_people_write_it_in_the_colour_of_its_state() -> None:
    made = word("out_of_sync")
    assert (made.plain, made.style) == ("out of sync", "yellow")
    assert word("anything").style == ""
    assert (word("3 apps", colour_by="failed").plain, word("3 apps", colour_by="failed").style) == ("3 apps", "red")
    assert word(None).plain == ""


@pytest.mark.parametrize("made", [plain, fluid, word])
def test_what_comes_from_elsewhere_stays_text(made: Any) -> None:
    text = made("[bold]x[/bold] \x1b[2J\x1b]0;t\x07:smile:")
    assert isinstance(text, Text)
    assert shown(text) == "[bold]x[/bold] :smile:\n"


@pytest.mark.parametrize("width", [10, 30, 79])
def test_the_column_that_gives_way_is_cut_and_the_others_stay_whole(width: int) -> None:
    made = table("NAME", "STATE", flexible="NAME")
    made.add_row(fluid("n" * 100), plain("synced" if width > 20 else "ok"))
    lines = shown(made, width).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= width
    assert "…" in lines[1]
    if width > 20:
        assert lines[1].rstrip().endswith("synced")


@pytest.mark.parametrize("width", [12, 30, 40, 46, 60])
def test_the_column_that_gives_way_never_goes_and_where_it_is_not_enough_the_widest_are_cut(width: int) -> None:
    made = table("APP", "VERSION", "NODE", flexible="APP")
    made.add_row(fluid("greeter"), plain("1.0.0 → 1.1.0"), plain("node-12.rack-3.example.com"))
    lines = shown(made, width).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("A")
    assert lines[1].startswith("gr")
    if width >= 40:
        assert lines[1].startswith("greeter ")
        assert "1.0.0 → 1.1.0" in lines[1]
    # At another width it is another table.
    assert "greeter   1.0.0 → 1.1.0  node-12.rack-3.example.com" in shown(made, 100)


def test_the_widest_gives_way_first_and_what_is_to_be_kept_last() -> None:
    assert narrowed([7, 15, 26], {0}, 40) == [7, 15, 18]
    assert narrowed([7, 15, 26], {0}, 27) == [7, 10, 10]
    assert narrowed([7, 15, 26], {0}, 7) == [5, 1, 1]
    assert narrowed([7, 15], {0}, 0) == [1, 1]
    assert narrowed([], (), 0) == []


def test_empty_facts_are_left_out_and_long_ones_folded_whole() -> None:
    told = shown(facts(("a", ""), ("b", None), ("c", 0), ("path", "/x" * 60), ("t", Text("")), ("d", "[e]")), 40)
    assert [line.split()[0] for line in told.splitlines() if not line.startswith(" ")] == ["c", "path", "d"]
    assert "".join(told.split()).count("/x") == 60
    assert "[e]" in told
