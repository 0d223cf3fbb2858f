"""The JSON Schema (2020-12) of a spec, for editors and other tools: `celeriac schema`.

Made from the marshmallow schemas, each field describing itself, so that what an editor accepts is what the loader
accepts. Rules that a JSON Schema cannot say, such as unique names in a repository, are the loader's alone.
"""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from specs.fields import SpecField
from specs.schema import schema
from specs.section import Part, Section
from specs.suspend_schema import SuspendField
from specs.windows_schema import WindowsField


def json_schema() -> dict[str, Any]:
    """The schema of `<apps_dir>/<name>/app.yaml` as a new dict that msgspec or json can write."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Celeriac app",
        "description": "What should run: one app of a repository that Celeriac keeps machines in agreement with.",
        **_section(schema()),
    }


def _section(section: Section) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": "object",
        "properties": {name: _field(field) for name, field in section.fields.items()},
        "additionalProperties": False,
    }
    required = [name for name, field in section.fields.items() if field.required]
    if required:
        described["required"] = required
    if section.rules:
        described["allOf"] = [dict(rule) for rule in section.rules]
    return described


def _field(field: fields.Field[Any]) -> dict[str, Any]:
    about = {key: field.metadata[key] for key in ("description", "default") if key in field.metadata}
    if isinstance(field, SuspendField):
        return {**about, "anyOf": [{"type": "boolean"}, _section(field.section)]}
    if isinstance(field, WindowsField):
        return {**about, **field.shape(), "items": _section(field.section)}
    if isinstance(field, Part) and isinstance(field.schema, Section):
        return {**about, **_section(field.schema)}
    if isinstance(field, SpecField):
        return {**about, **field.shape()}
    raise TypeError(f"{type(field).__name__} does not describe itself")
