"""The section `health`: how to tell that an app works, and which fields count for which type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import validates_schema

from specs.command_field import Command
from specs.fields import MODULE_AND_OBJECT, Choice, Duration, Port, Text, Whole
from specs.model import Health
from specs.section import Section, belongs, only_for, raise_all


class HealthSection(Section):
    """`health`."""

    makes = Health
    owners: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "port": ("http", "tcp"),
        "path": ("http",),
        "command": ("custom",),
        "check": ("custom",),
    }
    rules = (
        *only_for(owners, "http"),
        {
            "if": {"properties": {"type": {"const": "custom"}}, "required": ["type"]},
            "then": {"oneOf": [{"required": ["command"]}, {"required": ["check"]}]},
        },
    )
    type = Choice("how the app is asked", ("http", "tcp", "custom"), default="http")
    port = Port("the port that is asked; where the app is exposed, its public one by default", default=8080)
    path = Text(
        "http: the path that must answer with success",
        pattern=r"/[!-~]*",
        wanted="must start with a slash and hold no spaces, as in /health",
        longest=2000,
        default="/health",
    )
    interval = Duration("the time between two checks", default="30s")
    timeout = Duration("how long an answer may take", default="5s")
    grace = Duration("how long the app may take to become healthy after a start", default="30s", zero=True)
    threshold = Whole("how many checks in a row must fail", 1, 1000, default=3)
    command = Command("custom: a program that exits with 0 when the app is healthy")
    check = Text(
        "custom: a function of the app that says so", pattern=MODULE_AND_OBJECT, wanted="must read like module:function"
    )

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_type(self, data: dict[str, Any], original: Any, **_: Any) -> None:
        """What each type needs."""
        if not isinstance(original, dict) or ("type" in original and "type" not in data):
            return
        chosen = data.get("type", "http")
        errors = belongs(original, chosen, self.owners, "health type")
        if chosen == "custom":
            if "command" not in original and "check" not in original:
                errors["type"] = ["custom needs a command, or a check such as module:function"]
            elif "command" in original and "check" in original:
                errors["check"] = ["cannot go together with command"]
        raise_all(errors)
