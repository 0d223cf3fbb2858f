"""The field `suspend`: true, false, or until when and why."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from specs.fields import SpecField, Text
from specs.model import Suspend
from specs.section import Section


class Moment(SpecField):
    """A date, or a date and time; without a zone it is UTC."""

    def read(self, value: Any) -> str:
        try:
            if isinstance(value, str) and len(value) <= 40:
                moment = datetime.fromisoformat(value.strip())
            elif isinstance(value, datetime):
                moment = value
            elif isinstance(value, date):
                moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
            else:
                raise ValueError
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise ValueError("must be a date or time such as 2030-01-31 or 2030-01-31T18:00:00Z") from None
        return moment.isoformat(timespec="seconds")

    def shape(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": 40, "pattern": r"^\s*\d{4}-?(\d{2}|W\d{2}).*$"}


class SuspendSection(Section):
    """`suspend`, where it is a mapping."""

    makes = Suspend
    until = Moment("when it ends by itself")
    reason = Text("why, for people")


class SuspendField(SpecField):
    """`suspend`: true, false or `{until, reason}`."""

    section = SuspendSection()

    def read(self, value: Any) -> Suspend | None:
        if isinstance(value, bool):
            return Suspend() if value else None
        if not isinstance(value, dict):
            raise ValueError("must be true, false or a mapping with until and reason")
        made: Suspend = self.section.load(value)
        return made

    def shape(self) -> dict[str, Any]:
        return {"type": ["boolean", "object"]}
