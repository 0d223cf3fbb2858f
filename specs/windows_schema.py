"""The field `windows`: when changes of an app may happen, and when not. What they mean is `celeriac.windows`."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, post_load, validates_schema

from celeriac.windows import LONGEST, Window, check_schedule, check_timezone
from specs.fields import Duration, Errors, SpecField, Text
from specs.section import Section, raise_all

_MOST = 20


class WindowSection(Section):
    """One window."""

    rules = ({"oneOf": [{"required": ["allow"]}, {"required": ["deny"]}]},)
    allow = Text("a cron expression: changes may happen from then on", check=check_schedule, longest=200)
    deny = Text("a cron expression: no change may happen from then on", check=check_schedule, longest=200)
    timezone = Text("of the cron expression", check=check_timezone, longest=64, default="UTC")

    class Meta(Section.Meta):
        """`for` is no name that Python takes."""

        include = {  # noqa: RUF012 - marshmallow's form
            "for": Duration("how long it stays so, from 1m to 31d", least=60, most=LONGEST, required=True)
        }

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check(self, data: dict[str, Any], original: Any, **_: Any) -> None:
        """Either the one kind or the other."""
        if isinstance(original, dict) and ("allow" in original) == ("deny" in original):
            raise_all({"deny": ["cannot go together with allow"]} if "deny" in original else {"allow": ["is required"]})

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Window:
        """The window."""
        kind = "allow" if "allow" in data else "deny"
        return Window(kind, data[kind], data["for"], data.get("timezone", "UTC"))  # type: ignore[arg-type]


class WindowsField(SpecField):
    """`windows`: a list of windows."""

    section = WindowSection()

    def read(self, value: Any) -> tuple[Window, ...]:
        if not isinstance(value, list):
            raise ValueError('must be a list, as in [{allow: "0 22 * * 1-5", for: 8h}]')
        if len(value) > _MOST:
            raise ValueError(f"must be at most {_MOST} windows")
        made: list[Window] = []
        errors: Errors = {}
        for index, item in enumerate(value):
            try:
                window: Window = self.section.load(item)
                made.append(window)
            except ValidationError as error:
                errors[index] = error.messages
        if errors:
            raise ValidationError(errors)
        return tuple(made)

    def shape(self) -> dict[str, Any]:
        return {"type": "array", "maxItems": _MOST}
