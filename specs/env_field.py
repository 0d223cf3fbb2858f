"""The values of `env`: whatever a file holds, to the text that the app will see.

Scalars are text as written, lists and mappings are JSON. Since a value may be a secret, no message here,
nor anything that comes from one, repeats any part of it.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime, time
from typing import Any

from specs.collection_fields import MapOf
from specs.document import WrittenFloat
from specs.fields import SpecField

_LONGEST = 128 * 1024  # bytes, name included; the kernel starts no process with a longer one
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def env_field(about: str) -> MapOf:
    """The field `env`."""
    return MapOf(
        about,
        EnvValue("the value, as text; a list or mapping becomes JSON"),
        key=r"[A-Za-z_][A-Za-z0-9_]{0,254}",
        wanted="is not the name of an environment variable: letters, digits and underscore, no digit first",
        example="DEBUG: false",
        reserved="CELERIAC_",
    )


class EnvValue(SpecField):
    """One value of `env`."""

    default_error_messages = {"null": 'has no value; write "" for an empty text'}  # noqa: RUF012

    def read(self, value: Any) -> str:
        text = _text(value)
        if _UNFIT.search(text):
            raise ValueError("must not hold control characters")
        if len(text.encode()) > _LONGEST - 256:
            raise ValueError("is longer than any system accepts (128 KiB)")
        return text

    def shape(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean", "array", "object"]}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, WrittenFloat):
        return value.text
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, int):
        return _digits(value)
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_moment)
    except ValueError:
        raise ValueError("holds a number that JSON cannot hold") from None


def _moment(value: Any) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    raise ValueError("not a value of JSON")


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # thousands of digits
        raise ValueError("holds a number that is too long; write it in quotes") from None
