"""What every section of a spec (`source`, `run`, `health`, …) has in common: a marshmallow schema that makes a value.

The sections are in `source_schema`, `run_schema`, `health_schema`, `placement_schema`, `icon_schema` and
`suspend_schema`; the spec as a whole is `schema`, the kinds of values are `fields`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError, fields, post_load

from specs.fields import Errors

UNKNOWN = "unknown field"


class Section(Schema):
    """A mapping with known fields. `makes` is the class of the value; `rules` describe to editors what
    `validates_schema` methods check.
    """

    makes: ClassVar[Callable[..., Any]] = dict
    rules: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    class Meta:
        """Nothing that is not declared is taken."""

        unknown = RAISE

    error_messages = {"unknown": UNKNOWN, "type": "must be a mapping of fields"}  # noqa: RUF012 - marshmallow's form

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Any:
        """The value of `specs.model`."""
        return self.makes(**data)


class Part(fields.Nested):
    """A field that is a section of its own."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's form
        "required": "is required",
        "null": "has no value; give one, or remove the line",
    }

    def __init__(self, section: type[Section], about: str) -> None:
        super().__init__(section(), metadata={"description": about})


def raise_all(errors: Errors) -> None:
    """Raise what was found, if anything."""
    if errors:
        raise ValidationError(errors)


def belongs(original: Any, chosen: str, owners: Mapping[str, tuple[str, ...]], switch: str) -> Errors:
    """The faults of fields that only mean something for another choice of `switch`."""
    errors: Errors = {}
    for name, choices in owners.items():
        if name in original and chosen not in choices:
            errors[name] = [f"belongs to {switch} {' and '.join(choices)}, and this {switch} is {chosen}"]
    return errors


def only_for(owners: Mapping[str, tuple[str, ...]], default: str) -> tuple[Mapping[str, Any], ...]:
    """The same as JSON Schema: each field wants its own choices of `type`."""
    rules: list[Mapping[str, Any]] = []
    for name, choices in owners.items():
        wanted: dict[str, Any] = {"properties": {"type": {"enum": list(choices)}}}
        if default not in choices:
            wanted["required"] = ["type"]
        rules.append({"if": {"required": [name]}, "then": wanted})
    return tuple(rules)
