"""Durations and sizes read as people write them, and never surprise."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.units import format_duration, parse_duration, parse_size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("2m", 120), ("1h", 3600), ("1.5h", 5400), ("3d", 259200), (" 5 s ", 5), ("0s", 0)],
)
def test_durations_take_a_unit(written: str, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("bare", [1500, "1500", "1500.0"])
def test_a_bare_number_is_milliseconds(bare: str | float) -> None:
    assert parse_duration(bare) == 1.5


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "s", "5 parsecs", "1h 5m", "-1s", "5S", "9" * 400, "400d"),
        *(-1, 10**15, 10**400, float("nan"), float("inf")),
        *(True, None, [1], {}),
    ],
)
def test_what_is_no_duration_is_refused_with_a_value_error(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"duration|between 0 and one year"):
        parse_duration(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0ms"),
        (0.35, "350ms"),
        (0.9996, "1s"),
        (4.2, "4.2s"),
        (10, "10s"),
        (59.94, "59.9s"),
        (59.97, "1m"),
        (60, "1m"),
        (150, "2m 30s"),
        (3599.7, "1h"),
        (3900, "1h 5m"),
        (7200, "2h"),
        (2 * 86400, "2d"),
        (30 * 86400, "30d"),
    ],
)
def test_durations_are_said_in_their_shortest_form(seconds: float, said: str) -> None:
    assert format_duration(seconds) == said


@settings(deadline=None, max_examples=80)
@given(st.floats(min_value=0.001, max_value=59))
def test_what_is_said_of_a_short_duration_reads_back_to_about_the_same(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=0.051)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("512MB", 512 * 10**6),
        ("1GiB", 2**30),
        ("1.5 kib", 1536),
        ("100", 100),
        ("7B", 7),
        (4096, 4096),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_sizes_take_decimal_and_binary_units(written: str | int, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("wrong", ["", "MB", "5 apples", "-5MB", "0", 0, -1, True, None, [], "0.4B", "9" * 400, 2**63])
def test_what_is_no_size_is_refused_with_a_value_error(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"size|bytes"):
        parse_size(wrong)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=120)
@given(st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.integers())))
def test_anything_at_all_is_a_value_or_a_value_error(value: object) -> None:
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(ValueError):
            assert parse(value) >= 0  # type: ignore[operator]
