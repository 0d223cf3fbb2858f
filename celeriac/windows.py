"""Sync windows: when changes may happen, and when not. What they are, how a setting writes them, when they open.

As in Argo CD: without windows everything may happen at any time; while a `deny` window is open nothing may; where there
are `allow` windows, something may only while one of them is open. A window opens by a cron schedule and stays open
for a time. Pure: the schedules are evaluated by cronsim, which follows Debian's cron, daylight saving included.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

from celeriac.units import parse_duration

Kind = Literal["allow", "deny"]

LONGEST = 31 * 86400.0
"""Seconds that a window may be open at most."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"), (0.001, "ms"))
_HORIZON = 9 * 366 * 86400.0  # between two leap days there may be eight years
_MOST_STEPS = 1000
_CLOCK_CHANGE = 3 * 3600.0  # a local clock is put forward or back by less
_WRITTEN = re.compile(r"(?P<kind>allow|deny)\s+(?P<schedule>.+?)\s+for\s+(?P<span>\S+)(?:\s+in\s+(?P<zone>\S+))?")


@dataclass(frozen=True, slots=True)
class Window:
    """A window of `seconds` length that opens at each time that the cron expression `schedule` names in `timezone`."""

    kind: Kind
    schedule: str
    seconds: float
    timezone: str = "UTC"

    def __str__(self) -> str:
        zone = "" if self.timezone == "UTC" else f" in {self.timezone}"
        size, unit = next((size, unit) for size, unit in _UNITS if self.seconds % size == 0)
        return f"{self.kind} {self.schedule} for {self.seconds / size:.0f}{unit}{zone}"


def check_schedule(text: str) -> str:
    """`text`, a cron expression of five fields, with single spaces. Raises ValueError."""
    from cronsim import CronSim, CronSimError

    schedule = " ".join(text.split())
    if len(schedule.split(" ")) != 5 or len(schedule) > 200:
        raise ValueError("must be a cron expression of five fields, such as 0 22 * * 1-5")
    try:
        next(CronSim(schedule, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"is not a cron expression: {str(error).lower()}") from None
    except StopIteration:
        raise ValueError("names no time that ever comes") from None
    return schedule


def check_span(value: Any) -> float:
    """Seconds that a window is open. Raises ValueError."""
    seconds = parse_duration(value)
    if not 60 <= seconds <= LONGEST:
        raise ValueError("must be between 1m and 31d")
    return round(seconds, 3)


def check_timezone(name: str) -> str:
    """`name`, when it is a time zone of this machine. Raises ValueError."""
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone, such as UTC or Europe/Berlin") from None
    return name


def parse_windows(value: Any) -> tuple[Window, ...]:
    """Windows as a setting has them: text such as `allow 0 22 * * 1-5 for 8h in Europe/Berlin; deny …`, or tables.

    Raises ValueError.
    """
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(";") if part.strip()]
        return tuple(_from_text(part) for part in parts)
    if not isinstance(value, list):
        raise ValueError("must be text, or a list of tables such as { allow = '0 22 * * 1-5', for = '8h' }")
    return tuple(_from_table(entry) for entry in value)


def open_at(windows: tuple[Window, ...], now: float) -> bool:
    """Whether something may happen at `now` (seconds since the epoch)."""
    active = {window.kind for window in windows if _opened(window, now) is not None}
    if "deny" in active:
        return False
    return "allow" in active or not any(window.kind == "allow" for window in windows)


@lru_cache(maxsize=1024)
def held_until(now: float, *sets: tuple[Window, ...]) -> float | None:
    """When something may happen that each of `sets` must allow: None for now, 0 for never as far as can be told."""
    at = now
    for _ in range(_MOST_STEPS):
        closed = [windows for windows in sets if not open_at(windows, at)]
        if not closed:
            return None if at == now else at
        at = max(_closed_until(windows, at) for windows in closed)
        if at - now > _HORIZON:
            return 0.0
    return 0.0


def _closed_until(windows: tuple[Window, ...], now: float) -> float:
    """The time before which `windows`, closed at `now`, cannot be open: denials end, and one that allows begins."""
    denying = [(w, _opened(w, now)) for w in windows if w.kind == "deny"]
    ends = [at + w.seconds for w, at in denying if at is not None]
    allowing = [w for w in windows if w.kind == "allow"]
    if allowing and all(_opened(w, now) is None for w in allowing):
        ends.append(min(_opens(w, now) for w in allowing))
    return max(ends)


def _opens(window: Window, now: float) -> float:
    """When the window opens next; infinity for never."""
    from cronsim import CronSim

    begin = datetime.fromtimestamp(now - _margin(window, now), _zone(window.timezone))
    return next((at for start in CronSim(window.schedule, begin) if (at := start.timestamp()) > now), math.inf)


def _opened(window: Window, now: float) -> float | None:
    """When the window was opened that is open at `now`; None when it is closed."""
    from cronsim import CronSim

    # The search leaves its own beginning out, and a window is open from the first moment on.
    begin = datetime.fromtimestamp(math.floor(now) + 1 + _margin(window, now), _zone(window.timezone))
    for start in CronSim(window.schedule, begin, reverse=True):
        at = start.timestamp()
        if at <= now:
            return at if now < at + window.seconds else None
    return None


def _margin(window: Window, now: float) -> float:
    """How far from `now` a search begins, since where the local clock is put back its times come twice."""
    zone = _zone(window.timezone)
    around = (datetime.fromtimestamp(now + by, zone).utcoffset() for by in (-_CLOCK_CHANGE, _CLOCK_CHANGE))
    return _CLOCK_CHANGE if len(set(around)) > 1 else 0.0


def _from_text(text: str) -> Window:
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} must read like: allow 0 22 * * 1-5 for 8h in Europe/Berlin")
    return _made(match["kind"], match["schedule"], match["span"], match["zone"] or "UTC")


def _from_table(entry: Any) -> Window:
    if not isinstance(entry, Mapping) or ("allow" in entry) == ("deny" in entry) or "for" not in entry:
        raise ValueError("each window needs allow or deny, and for, as in { allow = '0 22 * * 1-5', for = '8h' }")
    unknown = sorted(entry.keys() - {"allow", "deny", "for", "timezone"})
    if unknown:
        raise ValueError(f"windows have no {unknown[0]!r}: allow or deny, for, timezone")
    kind = "allow" if "allow" in entry else "deny"
    return _made(kind, str(entry[kind]), entry["for"], str(entry.get("timezone", "UTC")))


def _made(kind: Any, schedule: str, span: Any, zone: str) -> Window:
    try:
        return Window(kind, check_schedule(schedule), check_span(span), check_timezone(zone))
    except ValueError as error:
        raise ValueError(f"{kind} {schedule}: {error}") from None


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
