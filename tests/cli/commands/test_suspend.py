"""How long a suspension lasts, as people write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from celeriac.errors import MisuseError
from cli.commands.suspend import parse_until

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "end"),
    [
        ("30m", NOW + timedelta(minutes=30)),
        ("2h", NOW + timedelta(hours=2)),
        ("2026-03-01T18:00", datetime(2026, 3, 1, 18, tzinfo=UTC)),
        ("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
    ],
)
def test_a_duration_or_a_time_is_understood(written: str, end: datetime) -> None:
    assert parse_until(written, NOW) == end


@pytest.mark.parametrize("written", ["tomorrow", "2026-02-28", "0s"])
def test_anything_else_and_the_past_are_misuse(written: str) -> None:
    with pytest.raises(MisuseError, match="--until"):
        parse_until(written, NOW)
