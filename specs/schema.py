"""The schema of a whole spec (DESIGN section 2): plain data to an `AppSpec`, or everything that is wrong with it.

`read_spec` is the one entry. The sections are in modules of their own (`specs.section` lists them), the kinds of
values in `specs.fields`. Here are the top-level fields, the rules that span sections, and how marshmallow's
tree of messages becomes a flat list that suggests the nearest known field. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from marshmallow import ValidationError, post_load, validates_schema
from packaging.version import InvalidVersion, Version

from specs.collection_fields import ListOf
from specs.document import FieldPath, printable
from specs.env_field import env_field
from specs.fields import Choice, Flag, SpecField, Text, not_text
from specs.health_schema import HealthSection
from specs.icon_schema import IconSection
from specs.model import AppSpec
from specs.names import NAME, NAME_WANTED, did_you_mean
from specs.placement_schema import ExposeSection, PlacementSection, UpgradeSection
from specs.run_schema import HooksSection, LimitsSection, RunSection
from specs.section import UNKNOWN, Part, Section, raise_all
from specs.source_schema import SourceSection
from specs.suspend_schema import SuspendField
from specs.windows_schema import WindowsField

LITERAL_FIELDS = frozenset({"env"})
"""Top-level fields whose words stay as written: YAML's `True` is not made a truth value there."""

_SCHEMA_KEY = "_schema"
_MOST_FAULTS = 100  # of one file: nobody reads more, and they are kept with the app
_VERSION = (
    r"\s*[vV]?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*"
    r"(?:[-_.]?(?:[aA]|[bB]|[cC]|[rR][cC]|[aA][lL][pP][hH][aA]|[bB][eE][tT][aA]|[pP][rR][eE](?:[vV][iI][eE][wW])?)"
    r"[-_.]?[0-9]*)?"
    r"(?:-[0-9]+|[-_.]?(?:[pP][oO][sS][tT]|[rR][eE][vV]|[rR])[-_.]?[0-9]*)?"
    r"(?:[-_.]?[dD][eE][vV][-_.]?[0-9]*)?"
    r"(?:\+[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*)?\s*"
)


class VersionField(SpecField):
    """`version`: any PEP 440 version, kept as it is written, since a Git tag may be named like it."""

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(not_text(value))
        text = value.strip()
        try:
            if len(text) > 128:
                raise InvalidVersion
            Version(text)
        except ValueError:
            raise ValueError(f"`{printable(text)}` is not a version (PEP 440), such as 1.10.2 or 2.0rc1") from None
        return text

    def shape(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_VERSION}$", "maxLength": 160}


class AppSchema(Section):
    """A spec."""

    rules = (
        {
            "if": {
                "properties": {
                    "upgrade": {"properties": {"strategy": {"const": "hot_reload"}}, "required": ["strategy"]}
                },
                "required": ["upgrade"],
            },
            "then": {"properties": {"run": {"required": ["app"]}}, "required": ["run"]},
        },
        {
            "if": {"properties": {"isolation": {"const": "embedded"}}, "required": ["isolation"]},
            "then": {
                "properties": {"run": {"required": ["app"], "not": {"required": ["reload_signal"]}}},
                "required": ["run"],
                "not": {"required": ["limits"]},
            },
        },
    )
    name = Text("the app's name, unique in the repository", pattern=NAME, wanted=NAME_WANTED, required=True)
    version = VersionField('the version to run; quote it, as in "1.10"', required=True)
    description = Text("what the app is, for people", longest=2000, lines=True)
    icon = Part(IconSection, "how the app is drawn; a picture made from its name by default")
    source = Part(SourceSection, "where the code comes from")
    run = Part(RunSection, "how the app is started; by default the console script named like it, or python -m <name>")
    env = env_field("environment variables")
    depends_on = ListOf(
        "apps that must be healthy before this one starts",
        Text("an app's name", pattern=NAME, wanted=f"is not the name of an app: {NAME_WANTED}"),
        example="[db, cache]",
    )
    health = Part(HealthSection, "how to tell that the app works; without it, staying up for 5 seconds")
    upgrade = Part(UpgradeSection, "how the app moves to a new release")
    expose = Part(ExposeSection, "the public port that leads to the app's $PORT")
    limits = Part(LimitsSection, "upper bounds of each process")
    isolation = Choice(
        "a process of its own, or a guest in the node's shared host process", ("process", "embedded"), default="process"
    )
    placement = Part(PlacementSection, "which nodes run the app")
    hooks = Part(HooksSection, "commands run once per sync, in the new release")
    prune = Flag("false: never removed by a sync, only reported", default=True)
    renamed_from = Text("the running app to take over instead of deploying anew", pattern=NAME, wanted=NAME_WANTED)
    windows = WindowsField("when changes of the app may happen, and when not; at any time by default")
    suspend = SuspendField("true, or {until, reason}: leave the app exactly as it is", default=False)

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check(self, data: dict[str, Any], original: Any, **_: Any) -> None:
        """The rules that span sections."""
        if not isinstance(original, dict):
            return
        errors: dict[str | int, Any] = {}
        if "upgrade" in data and data["upgrade"].strategy == "hot_reload":
            run = original.get("run")
            if not (isinstance(run, Mapping) and "app" in run):
                errors["upgrade"] = {
                    "strategy": ["hot_reload needs run.app (module:callable): only hosted apps have it"]
                }
        if data.get("isolation") == "embedded":
            _check_embedded(original, errors)
        if "renamed_from" in data and data["renamed_from"] == data.get("name"):
            errors["renamed_from"] = ["is the app's own name"]
        raise_all(errors)

    @post_load(pass_original=True)
    def make(self, data: dict[str, Any], original: Any, **_: Any) -> AppSpec:
        """The spec; what is left out and what says the same as the default are equal."""
        spec = AppSpec(**data)
        asked = spec.health is not None and spec.health.type != "custom"
        if spec.expose is not None and spec.health is not None and asked and "port" not in original["health"]:
            spec = replace(spec, health=replace(spec.health, port=spec.expose.port))
        if spec.source.type == "pypi" and not spec.source.package:
            spec = replace(spec, source=replace(spec.source, package=spec.name))
        return spec


def _check_embedded(original: Mapping[str, Any], errors: dict[str | int, Any]) -> None:
    """What a guest of a shared process cannot have, because it has no process of its own."""
    run = original.get("run")
    given = [name for name in ("command", "processes") if isinstance(run, Mapping) and name in run]
    if given:
        errors["run"] = {
            given[0]: ["cannot go together with isolation: embedded, which needs run.app (module:callable)"]
        }
    elif not (isinstance(run, Mapping) and "app" in run):
        errors["isolation"] = ["embedded needs run.app (module:callable): only hosted apps can be guests"]
    elif "reload_signal" in run:
        errors["run"] = {"reload_signal": ["would reach all guests of the shared process; have config_change instead"]}
    if original.get("limits") is not None:
        errors["limits"] = ["cannot be kept for one guest of a shared process; leave it out, or set isolation: process"]


_SCHEMA = AppSchema()


def read_spec(data: Mapping[str, Any]) -> tuple[AppSpec | None, list[tuple[FieldPath, str]]]:
    """The spec that `data` says, or None and every fault (the first hundred) with the path of its field."""
    try:
        spec: AppSpec = _SCHEMA.load(data)
    except ValidationError as error:
        messages: Any = error.messages
        return None, list(islice(_flat(messages, (), _SCHEMA), _MOST_FAULTS))
    return spec, []


def schema() -> AppSchema:
    """The one instance, for those who describe it (`specs.jsonschema`)."""
    return _SCHEMA


def _flat(messages: Any, path: FieldPath, section: Section | None) -> Iterator[tuple[FieldPath, str]]:
    if not isinstance(messages, dict):
        for message in messages if isinstance(messages, list) else [messages]:
            yield path, str(message)
        return
    for key, inner in messages.items():
        if inner == [UNKNOWN] and section is not None:
            yield (*path, key), _unknown(str(key), path, section)
        elif key == _SCHEMA_KEY:
            yield from _flat(inner, path, None)
        else:
            yield from _flat(inner, (*path, key), _section_of(section, key))


def _section_of(section: Section | None, key: str | int) -> Section | None:
    if isinstance(key, int):  # an item of a list of sections
        return section
    field = None if section is None else section.fields.get(str(key))
    if isinstance(field, Part):
        inner = field.schema
        return inner if isinstance(inner, Section) else None
    return field.section if isinstance(field, SuspendField | WindowsField) else None


def _unknown(key: str, path: FieldPath, section: Section) -> str:
    """`unknown field. Did you mean `port`?`, or where a field of that name does exist."""
    near = did_you_mean(key, section.fields)
    if near:
        return f"{UNKNOWN}.{near}"
    homes = [""] if path and key in _SCHEMA.fields else []
    homes += [f"{name}." for name in _SCHEMA.fields if key in getattr(_section_of(_SCHEMA, name), "fields", {})]
    if 1 <= len(homes) <= 2:
        return f"{UNKNOWN}. Did you mean {' or '.join(f'`{home}{key}`' for home in homes)}?"
    return f"{UNKNOWN}. Known here: {', '.join(section.fields)}"
