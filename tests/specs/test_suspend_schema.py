"""The field `suspend`."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from marshmallow import ValidationError

from specs.model import Suspend
from specs.suspend_schema import SuspendField

FIELD = SuspendField("x")


def test_true_and_false_are_enough():
    assert FIELD.deserialize(True) == Suspend()
    assert FIELD.deserialize(False) is None
    assert FIELD.deserialize({}) == Suspend()


@pytest.mark.parametrize(
    ("until", "read"),
    [
        ("2030-01-31", "2030-01-31T00:00:00+00:00"),
        ("2030-01-31T18:00:00Z", "2030-01-31T18:00:00+00:00"),
        ("2030-01-31 18:00", "2030-01-31T18:00:00+00:00"),
        ("2030-01-31T18:00:00+02:00", "2030-01-31T16:00:00+00:00"),
        (date(2030, 1, 31), "2030-01-31T00:00:00+00:00"),
        (datetime(2030, 1, 31, 12, tzinfo=UTC), "2030-01-31T12:00:00+00:00"),
        (datetime(2030, 1, 31, 12, tzinfo=timezone(timedelta(hours=1))), "2030-01-31T11:00:00+00:00"),
    ],
)
def test_a_moment_is_utc_once_read(until, read):
    assert FIELD.deserialize({"until": until}) == Suspend(read)


@pytest.mark.parametrize("until", ["soon", "", "2030-02-31", "0001-01-01T00:00:00+14:00", 2030, True, "1" * 100])
def test_other_moments_are_refused(until):
    with pytest.raises(ValidationError, match="must be a date or time"):
        FIELD.deserialize({"until": until})


@pytest.mark.parametrize("value", ["true", 1, [], "2030-01-31"])
def test_other_values_are_refused(value):
    with pytest.raises(ValidationError, match="true, false or a mapping"):
        FIELD.deserialize(value)
