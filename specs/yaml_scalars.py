"""What an unquoted word of a YAML file means: the YAML 1.2 core schema, less its traps.

Shared by both readers of YAML (`yaml_format`, `yaml_simple`), so that they cannot differ.
Only what JSON also calls a number is one: `NO`, `on`, `010`, `0x1F`, `1_000` and dates stay text.
"""

from __future__ import annotations

import re

from specs.document import WrittenFloat

_CONSTANTS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"-?[1-9][0-9]{0,30}|0")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan")
_NUMBER_START = frozenset("+-.0123456789")

Scalar = str | int | float | bool | None


def resolve(text: str) -> Scalar:
    """The value that the unquoted `text` stands for."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in _NUMBER_START:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return WrittenFloat(text)
    return text


def is_null(text: str) -> bool:
    """Whether the unquoted `text` says that there is no value."""
    return text in _CONSTANTS and _CONSTANTS[text] is None
