"""The sections that say where an app runs, how it is reached and how it moves: `placement`, `expose` and `upgrade`."""

from __future__ import annotations

from typing import Any

from specs.collection_fields import ListOf, MapOf
from specs.document import WrittenFloat
from specs.fields import Choice, Flag, Port, SpecField, Text, Whole, not_text
from specs.model import Expose, Placement, Upgrade
from specs.section import Section

_NODE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_LABEL_KEY = r"[A-Za-z0-9][A-Za-z0-9_./-]{0,62}"
_HOST_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*"


class UpgradeSection(Section):
    """`upgrade`."""

    makes = Upgrade
    strategy = Choice("how the app moves to a new release", ("restart", "blue_green", "hot_reload"), default="restart")


class ExposeSection(Section):
    """`expose`."""

    makes = Expose
    port = Port("the public port", required=True)
    host = Text(
        "the public host name", pattern=_HOST, wanted="must be a host name, such as shop.example.com", longest=253
    )


class LabelValue(SpecField):
    """The value of a label: text, or a number as written."""

    def read(self, value: Any) -> str:
        text = value
        if isinstance(value, WrittenFloat):
            text = value.text
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
            text = str(value)
        if not isinstance(text, str):
            raise ValueError(not_text(value))
        if len(text) > 63 or not text.isprintable() or "," in text or text != text.strip():
            raise ValueError("must be at most 63 characters, without commas or spaces around")
        return text

    def shape(self) -> dict[str, Any]:
        return {"type": ["string", "number"]}


class PlacementSection(Section):
    """`placement`."""

    makes = Placement
    nodes = ListOf(
        "the nodes that may run the app, by name; all by default",
        Text("a node's name", pattern=_NODE, wanted="must be the name of a node"),
        example="[web-1, web-2]",
        empty_word="all",
    )
    labels = MapOf(
        "labels that a node must have",
        LabelValue("the label's value"),
        key=_LABEL_KEY,
        wanted="is not the name of a label",
        example="role: web",
    )
    replicas = Whole("on how many nodes the app runs", 1, 10_000, default=1)
    failover = Flag("whether the app moves when its node is lost", default=True)
