"""Text and times from elsewhere, made fit for a terminal.

Messages come from commits, apps and tools: an escape sequence in one must not move the cursor of
whoever looks at it. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from celeriac.units import format_duration

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NOT_COLOUR = re.compile(r"\x1b\[(?!(?:[0-9;]*m))[0-?]*[ -/]*[@-~]|\x1b(?!\[)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")


def printable(value: Any) -> str:
    """`value` as text without terminal escape sequences and control characters; None is empty."""
    return "" if value is None else _CONTROL.sub("", str(value))


def printable_log(line: str) -> str:
    """A line of an app's log: its colours stay, whatever else would steer a terminal goes."""
    cleaned = _NOT_COLOUR.sub("", line)
    return f"{cleaned}\x1b[0m" if "\x1b[" in cleaned else cleaned


def one_line(value: Any, limit: int = 200) -> str:
    """`value` on one line of at most `limit` characters."""
    text = " ".join(printable(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def first_line(value: Any, limit: int = 200) -> str:
    """The first line of `value`, where the rest (last lines of output, a hint) is told elsewhere."""
    text = printable(value).strip()
    return one_line(text.splitlines()[0], limit) if text else ""


def moment(value: Any) -> datetime | None:
    """The time that a document gives: ISO 8601 text, seconds since 1970, or a datetime; None when it gives none."""
    if value is None or value == "" or value == 0:
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    parsed = datetime.fromisoformat(str(value))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def ago(value: Any, now: datetime) -> str:
    """How long before `now` that was, as people say it: `12s ago`, `in 48s`, `never`."""
    then = moment(value)
    if then is None:
        return "never"
    seconds = (now - then).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def is_over(value: Any, now: datetime) -> bool:
    """Whether the time that a document gives is before `now`."""
    then = moment(value)
    return then is not None and then <= now


def since(value: Any, now: datetime) -> str:
    """How long it has lasted at `now`; empty when it has not begun."""
    then = moment(value)
    return "" if then is None else span(max(0.0, (now - then).total_seconds()))


def span(seconds: float) -> str:
    """A duration in whole seconds and larger units, for screens that change once a second."""
    return format_duration(float(int(seconds))) if seconds >= 1 else "0s"


def clock(value: Any) -> str:
    """That time on the wall here: `2025-03-01 14:02:11`."""
    then = moment(value)
    return "" if then is None else then.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short(revision: Any) -> str:
    """The first nine characters of a commit id, as people name it; other names stay whole."""
    text = printable(revision)
    return text[:9] if re.fullmatch(r"[0-9a-f]{40,64}", text) else text
