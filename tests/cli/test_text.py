"""Text and times made fit for a terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli import text

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("\x1b[]0;mHJ\x07\x9b\r\n ab\\")))
def test_nothing_printable_makes_steers_a_terminal(value: str) -> None:
    assert not set(text.printable(value)) & set("\x1b\x07\x9b\r")


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("\x1b[]0;mHJ\x07\x9b\r ab\\")))
def test_a_log_line_keeps_colours_and_nothing_else(value: str) -> None:
    left = text.printable_log(value)
    assert not set(left) & set("\x07\x9b\r")
    for sequence in left.split("\x1b")[1:]:
        assert sequence.startswith("[")


def test_colours_of_a_log_line_end_with_it() -> None:
    assert text.printable_log("\x1b[31mred\x1b[2K") == "\x1b[31mred\x1b[0m"
    assert text.printable_log("plain") == "plain"


@pytest.mark.parametrize(
    "value", ["2026-03-01T11:59:48Z", "2026-03-01T11:59:48", NOW.timestamp() - 12, NOW - timedelta(seconds=12)]
)
def test_a_time_is_read_in_every_form_that_documents_give(value: object) -> None:
    assert text.ago(value, NOW) == "12s ago"


def test_times_read_as_people_say_them() -> None:
    assert text.ago(None, NOW) == "never"
    assert text.ago(NOW, NOW) == "now"
    assert text.ago(NOW + timedelta(seconds=48.4), NOW) == "in 48s"
    assert text.since(NOW - timedelta(minutes=65), NOW) == "1h 5m"
    assert text.since("", NOW) == ""


def test_one_line_folds_and_cuts() -> None:
    assert text.one_line("two\n  lines") == "two lines"
    assert text.one_line("x" * 20, 10) == "x" * 9 + "…"


def test_commit_ids_are_shortened_and_names_are_not() -> None:
    assert text.short("a" * 40) == "a" * 9
    assert text.short("release-2026-03") == "release-2026-03"


def test_the_first_line_of_a_message_stands_for_it_where_there_is_room_for_one() -> None:
    assert text.first_line("\nport 80: answered 500\n  the last it said") == "port 80: answered 500"
    assert text.first_line(None) == text.first_line(" \n") == ""


def test_a_time_is_over_once_it_has_come() -> None:
    assert text.is_over(NOW, NOW)
    assert not text.is_over(NOW + timedelta(seconds=1), NOW)
    assert not text.is_over(None, NOW)
