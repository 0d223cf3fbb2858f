"""The kinds of values that a spec's fields take, as marshmallow fields: from what a file holds to what `model` holds.

Each kind knows both how to read a value (`read`, which raises ValueError with a message for users) and how to
describe itself as JSON Schema (`shape`), so that the two cannot drift apart. Commands are in `command_field`,
lists and mappings in `collection_fields`, `env` in `env_field`; the sections put them together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from marshmallow import ValidationError, fields

from celeriac.units import format_duration, parse_duration, parse_size
from specs.document import WrittenFloat, printable
from specs.names import did_you_mean

MODULE = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
MODULE_AND_OBJECT = rf"{MODULE}:{MODULE}"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Errors = dict[str | int, Any]


class SpecField(fields.Field[Any]):
    """A field that reads and describes itself. `about` is shown to users of editors."""

    default_error_messages = {  # noqa: RUF012 - marshmallow declares it so
        "required": "is required",
        "null": "has no value; give one, or remove the line",
    }

    def __init__(self, about: str, *, default: Any = None, required: bool = False) -> None:
        metadata: dict[str, Any] = {"description": about}
        if default is not None:
            metadata["default"] = default
        super().__init__(required=required, metadata=metadata)

    def read(self, value: Any) -> Any:
        """What `value` means; raises ValueError, or ValidationError for faults inside of it."""
        raise NotImplementedError

    def shape(self) -> dict[str, Any]:
        """The JSON Schema of what `read` takes."""
        raise NotImplementedError

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return self.read(value)
        except ValueError as error:
            raise ValidationError(str(error)) from error


class Text(SpecField):
    """One line of text. `pattern` must match all of it; `check` may refuse or rewrite it."""

    def __init__(
        self,
        about: str,
        *,
        pattern: str | None = None,
        wanted: str = "",
        check: Callable[[str], str] | None = None,
        longest: int = 500,
        lines: bool = False,
        default: str | None = None,
        required: bool = False,
    ) -> None:
        super().__init__(about, default=default, required=required)
        self._pattern = pattern
        self._compiled = None if pattern is None else re.compile(pattern)
        self._wanted = wanted
        self._check = check
        self._longest = longest
        self._unfit = _CONTROL_BUT_LINES if lines else _CONTROL

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(not_text(value))
        if len(value) > self._longest:
            raise ValueError(f"must be at most {self._longest:,} characters long")
        if self._compiled is not None and not self._compiled.fullmatch(value):
            raise ValueError(self._wanted)
        if self._unfit.search(value):
            raise ValueError("must not hold control characters")
        return value if self._check is None else self._check(value)

    def shape(self) -> dict[str, Any]:
        shape: dict[str, Any] = {"type": "string", "maxLength": self._longest}
        if self._pattern is not None:
            shape["pattern"] = f"^(?:{self._pattern})$"
        return shape


class Choice(SpecField):
    """One of a few words."""

    def __init__(self, about: str, choices: tuple[str, ...], *, default: str | None = None) -> None:
        super().__init__(about, default=default)
        self.choices = choices

    def read(self, value: Any) -> str:
        if value in self.choices and isinstance(value, str):
            return value
        hint = did_you_mean(value, self.choices) if isinstance(value, str) else ""
        raise ValueError(f"must be {' or '.join([', '.join(self.choices[:-1]), self.choices[-1]])}.{hint}".rstrip("."))

    def shape(self) -> dict[str, Any]:
        return {"enum": list(self.choices)}


class Flag(SpecField):
    """true or false."""

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError("must be true or false, without quotes")
        return value

    def shape(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Whole(SpecField):
    """A whole number within bounds."""

    def __init__(
        self, about: str, least: int, most: int, *, default: int | None = None, required: bool = False
    ) -> None:
        super().__init__(about, default=default, required=required)
        self._least = least
        self._most = most

    def read(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self._least <= value <= self._most:
            raise ValueError(f"must be {self._least}..{self._most}")
        return value

    def shape(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self._least, "maximum": self._most}


class Port(Whole):
    """A TCP port."""

    def __init__(self, about: str, *, default: int | None = None, required: bool = False) -> None:
        super().__init__(about, 1, 65535, default=default, required=required)


class Amount(SpecField):
    """A number above 0, possibly with a fraction."""

    def __init__(self, about: str, most: float) -> None:
        super().__init__(about)
        self._most = most

    def read(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= self._most:
            raise ValueError(f"must be a number above 0, at most {self._most:g}")
        return float(value)

    def shape(self) -> dict[str, Any]:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": self._most}


class Duration(SpecField):
    """A span of time, in seconds once read."""

    def __init__(
        self,
        about: str,
        *,
        default: str | None = None,
        zero: bool = False,
        least: float = 0.0,
        most: float | None = None,
        required: bool = False,
    ) -> None:
        super().__init__(about, default=default, required=required)
        self._zero = zero
        self._least = least
        self._most = most

    def read(self, value: Any) -> float:
        if not _is_short(value, (str, int, float)):
            raise ValueError("must be a duration such as 30s, 500ms or 2m")
        seconds = parse_duration(value)
        if seconds == 0 and not self._zero:
            raise ValueError("must be more than 0")
        if seconds < self._least:
            raise ValueError(f"must be at least {format_duration(self._least)}")
        if self._most is not None and seconds > self._most:
            raise ValueError(f"must be at most {format_duration(self._most)}")
        return seconds

    def shape(self) -> dict[str, Any]:
        bound = {"minimum": 0} if self._zero else {"exclusiveMinimum": 0}
        return {
            "anyOf": [
                {"type": "number", **bound},
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$", "maxLength": 32},
            ]
        }


class Size(SpecField):
    """An amount of memory, in bytes once read."""

    def read(self, value: Any) -> int:
        if not _is_short(value, (str, int)):
            raise ValueError("must be a size such as 512MB or 1GiB")
        size = parse_size(value)
        if size >= 2**63:
            raise ValueError("must be a size that a machine can have")
        return size

    def shape(self) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {
                    "type": "string",
                    "pattern": r"^\s*\d+(\.\d+)?\s*([KMGkmg]?[Bb]|[KMGkmg][Ii][Bb])?\s*$",
                    "maxLength": 32,
                },
            ]
        }


def not_text(value: Any) -> str:
    """What to tell someone whose text was read as something else."""
    if isinstance(value, bool):
        return 'must be text; write it in quotes, as in "true"'
    if isinstance(value, WrittenFloat):
        return f'is read as a number; write it in quotes: "{printable(value.text)}"'
    if isinstance(value, int):
        return f'is read as a number; write it in quotes: "{printable(str(value)) if abs(value) < 10**40 else "…"}"'
    if isinstance(value, list | dict):
        return "must be text, not a list or mapping"
    return "must be text; write it in quotes"


def _is_short(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether `value` is of `kinds`, no truth value, and of a length that can be meant and shown."""
    if isinstance(value, str):
        return str in kinds and len(value) <= 32
    if isinstance(value, bool) or not isinstance(value, int | float) or not isinstance(value, kinds):
        return False
    return -(10**30) < value < 10**30
