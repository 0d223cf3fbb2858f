"""Sync windows: read, shown, and evaluated at any time."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.windows import Window, held_until, open_at, parse_windows


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NIGHTS = parse_windows("allow 0 22 * * 1-5 for 8h")
HOLIDAYS = parse_windows("deny 0 0 24 12 * for 3d")


def test_without_windows_everything_may_happen() -> None:
    assert held_until(at("2026-11-25T12:00"), ()) is None


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-25T12:00", "2026-11-25T22:00"),
        ("2026-11-25T22:00", None),
        ("2026-11-26T05:59", None),
        ("2026-11-26T06:00", "2026-11-26T22:00"),
        ("2026-11-28T03:00", None),  # what opened on Friday
        ("2026-11-28T12:00", "2026-11-30T22:00"),  # no window opens at a weekend
        ("2026-12-23T23:30", None),
        ("2026-12-24T00:00", "2026-12-28T22:00"),  # the holidays end in the middle of a weekend
    ],
)
def test_a_change_waits_until_it_is_allowed_and_not_denied(now: str, until: str | None) -> None:
    assert held_until(at(now), HOLIDAYS, NIGHTS) == (at(until) if until else None)
    assert held_until(at(now), (*HOLIDAYS, *NIGHTS)) == (at(until) if until else None)


def test_windows_that_overlap_are_one() -> None:
    every_hour = parse_windows("deny 0 * * * * for 2h; deny 30 11 * * * for 1h")
    assert held_until(at("2026-11-25T12:00"), every_hour) == 0.0  # never
    two = parse_windows("deny 0 12 * * * for 1h; deny 30 12 * * * for 1h")
    assert held_until(at("2026-11-25T12:10"), two) == at("2026-11-25T13:30")


def test_a_time_zone_and_its_summer_time_count() -> None:
    berlin = parse_windows("allow 0 22 * * * for 1h in Europe/Berlin")
    assert open_at(berlin, at("2026-01-10T21:30"))
    assert open_at(berlin, at("2026-07-10T20:30"))
    assert not open_at(berlin, at("2026-07-10T21:30"))
    # At half past two nobody was there on that day.
    spring = parse_windows("allow 30 2 * * * for 1h in Europe/Berlin")
    assert held_until(at("2026-03-28T12:00"), spring) == at("2026-03-29T01:00")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("schedule", ["*/10 * * * *", "30 2 * * *", "30 1 * * *"])
@pytest.mark.parametrize("span", ["5m", "1h"])
def test_windows_are_open_as_their_starts_say_also_where_the_clock_is_put_back(
    zone: str, schedule: str, span: str
) -> None:
    (window,) = parse_windows(f"deny {schedule} for {span} in {zone}")
    for moment in ("2026-10-25T00:00", "2026-11-01T05:00", "2026-03-29T00:00"):
        begin = at(moment)
        before = datetime.fromtimestamp(begin - 86400, ZoneInfo(zone))
        starts = [start.timestamp() for start in itertools.islice(CronSim(schedule, before), 300)]
        for now in range(int(begin), int(begin) + 3 * 3600, 911):
            expected = any(start <= now < start + window.seconds for start in starts)
            assert open_at((window,), now) is not expected, datetime.fromtimestamp(now, UTC)


def test_a_window_that_opens_on_leap_days_alone_opens_in_some_years() -> None:
    leap_day = parse_windows("allow 0 0 29 2 * for 1d")
    assert held_until(at("2026-11-25T12:00"), leap_day) == at("2028-02-29T00:00")
    assert held_until(at("2096-03-01T12:00"), leap_day) == at("2104-02-29T00:00")


def test_denials_that_come_often_do_not_hide_what_is_allowed_seldom() -> None:
    both = parse_windows("allow 0 0 1 1 * for 1h; deny */5 * * * * for 4m")
    assert held_until(at("2026-11-25T12:00"), both) == at("2027-01-01T00:04")


def test_text_and_tables_say_the_same_and_are_shown_as_they_can_be_read() -> None:
    text = "allow 0 22 * * 1-5 for 8h in Europe/Berlin; deny 0 0 24 12 * for 3d; deny 0 0 1 * * for 90m"
    tables = [
        {"allow": "0 22  * * 1-5", "for": "8h", "timezone": "Europe/Berlin"},
        {"deny": "0 0 24 12 *", "for": "3d"},
        {"deny": "0 0 1 * *", "for": "90m"},
    ]
    windows = parse_windows(text)
    assert windows == parse_windows(tables)
    assert "; ".join(map(str, windows)) == text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("allow 0 22 * * 1-5", "must read like"),
        ("forbid 0 22 * * * for 8h", "must read like"),
        ("allow 0 25 * * * for 8h", "is not a cron expression: bad hour"),
        ("allow 0 22 * * for 8h", "five fields"),
        ("allow * * */20 * 1L for 8h", "no time that ever comes"),
        ("allow 0 22 * * * for 8", "between 1m and 31d"),
        ("allow 0 22 * * * for 8h in Nowhere/City", "is not a time zone"),
        ("allow 0 22 * * * for 8h in ../../etc/passwd", "is not a time zone"),
        ([{"allow": "0 22 * * *", "deny": "0 22 * * *", "for": "1h"}], "needs allow or deny"),
        ([{"allow": "0 22 * * *", "for": "1h", "zone": "UTC"}], "have no 'zone'"),
        (7, "must be text"),
    ],
)
def test_what_is_no_window_is_refused_with_what_is_wrong(wrong: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_windows(wrong)


WINDOWS = st.builds(
    Window,
    st.sampled_from(["allow", "deny"]),
    st.sampled_from(["0 22 * * 1-5", "*/30 * * * *", "0 0 1 * *", "15 3 * * *", "0 12 24 12 *", "0 0 * * 0"]),
    st.sampled_from([60.0, 600.0, 5400.0, 86400.0]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)


@settings(deadline=None)
@given(st.lists(WINDOWS, max_size=4), st.integers(1_767_225_600, 1_798_761_600))
def test_what_is_held_back_may_happen_when_it_is_told_and_not_before(windows: list[Window], now: int) -> None:
    sets = tuple(windows)
    until = held_until(float(now), sets)
    if until is None:
        assert open_at(sets, now)
    elif until:
        assert not open_at(sets, now)
        assert open_at(sets, until)
        for share in (0.25, 0.5, 0.75, 0.999):
            assert not open_at(sets, now + (until - now) * share)
