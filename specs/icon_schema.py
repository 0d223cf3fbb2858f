"""The section `icon`: a picture by URL, in base64, or made from the app's name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import validates_schema

from specs.addresses import check_icon_url
from specs.fields import Choice, Text
from specs.model import Icon
from specs.section import Section, belongs, only_for, raise_all


class IconSection(Section):
    """`icon`."""

    makes = Icon
    owners: ClassVar[Mapping[str, tuple[str, ...]]] = {"value": ("url", "base64"), "mime_type": ("url", "base64")}
    rules = (
        *only_for(owners, "identicon"),
        {
            "if": {"properties": {"type": {"enum": ["url", "base64"]}}, "required": ["type"]},
            "then": {"required": ["value"]},
        },
        {
            "if": {"properties": {"type": {"const": "base64"}}, "required": ["type"]},
            "then": {"required": ["mime_type"]},
        },
    )
    type = Choice("where the picture comes from", ("url", "base64", "identicon"), default="identicon")
    value = Text("the picture's URL, or its bytes in base64", longest=64 * 1024, lines=True)
    mime_type = Text(
        "the picture's media type",
        pattern=r"image/[a-z0-9][a-z0-9.+-]{0,60}",
        wanted="must be the media type of a picture, such as image/png",
    )

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check(self, data: dict[str, Any], original: Any, **_: Any) -> None:
        """What each type needs."""
        if not isinstance(original, dict) or ("type" in original and "type" not in data):
            return
        chosen = data.get("type", "identicon")
        errors = belongs(original, chosen, self.owners, "icon type")
        if chosen != "identicon" and "value" not in original:
            errors["value"] = [f"is required for icon type {chosen}"]
        if chosen == "base64" and "mime_type" not in original:
            errors["mime_type"] = ["is required for icon type base64, such as image/png"]
        if "value" in data and chosen != "identicon":
            try:
                _check_picture(chosen, data["value"])
            except ValueError as error:
                errors["value"] = [str(error)]
        raise_all(errors)


def _check_picture(kind: str, value: str) -> None:
    if kind == "url":
        check_icon_url(value)
        return
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None
