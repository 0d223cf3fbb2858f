"""How a process ended, in words that need no knowledge of supervisord."""

from __future__ import annotations

import pytest

from runtimes.endings import how_it_ended


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        ("Exited too quickly (process log may have details)", 0, "it ended before it had run for 5 seconds"),
        ("Bad exit code 3", 3, "it ended with exit code 3"),
        ("Bad exit code -1", -1, "it was ended by a signal"),
        ("", 4, "it ended with exit code 4"),
        ("", -1, "it was ended by a signal"),
        ("", 0, "it ended"),
        ("can't find command '/nowhere'", 0, "it could not be started: can't find command '/nowhere'"),
    ],
)
def test_each_end_has_its_words(error: str, status: int, told: str) -> None:
    assert how_it_ended(error, status, 5) == told


def test_a_part_of_a_second_is_told_and_whole_ones_without_a_point() -> None:
    assert how_it_ended("Exited too quickly", 0, 0.5).endswith("for 0.5 seconds")
    assert how_it_ended("Exited too quickly", 0, 3.0).endswith("for 3 seconds")
