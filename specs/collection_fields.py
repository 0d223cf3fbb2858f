"""Lists and mappings in a spec: each of one kind of value, with every fault of every item reported."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import ValidationError

from specs.fields import Errors, SpecField


class ListOf(SpecField):
    """A list of one kind of value, none of them twice. `empty_word` stands for the empty list."""

    def __init__(self, about: str, item: SpecField, *, example: str, empty_word: str | None = None) -> None:
        super().__init__(about, default=empty_word)
        self._item = item
        self._example = example
        self._empty_word = empty_word

    def read(self, value: Any) -> tuple[Any, ...]:
        if self._empty_word is not None and value == self._empty_word:
            return ()
        if not isinstance(value, list):
            raise ValueError(f"must be a list, as in {self._example}")
        made: list[Any] = []
        errors: Errors = {}
        for index, item in enumerate(value):
            try:
                word = self._item.read(item)
                if word in made:
                    raise ValueError("is listed twice")
                made.append(word)
            except ValueError as error:
                errors[index] = [str(error)]
        if errors:
            raise ValidationError(errors)
        return tuple(made)

    def shape(self) -> dict[str, Any]:
        items: dict[str, Any] = {"type": "array", "items": self._item.shape(), "uniqueItems": True}
        return items if self._empty_word is None else {"anyOf": [{"const": self._empty_word}, items]}


class MapOf(SpecField):
    """A mapping from names of one form to one kind of value."""

    def __init__(
        self, about: str, value: SpecField, *, key: str, wanted: str, example: str, least: int = 0, reserved: str = ""
    ) -> None:
        super().__init__(about)
        self._value = value
        self._key = key
        self._key_form = re.compile(key)
        self._wanted = wanted
        self._example = example
        self._least = least
        self._reserved = reserved

    def read(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"must be a mapping, as in {self._example}")
        if len(value) < self._least:
            raise ValueError("must not be empty")
        made: dict[str, Any] = {}
        errors: Errors = {}
        for key, item in value.items():
            try:
                self._check_key(key)
                made[key] = self._value.deserialize(item)
            except ValidationError as error:
                errors[key] = error.messages
            except ValueError as error:
                errors[key] = [str(error)]
        if errors:
            raise ValidationError(errors)
        return made

    def _check_key(self, key: str) -> None:
        if not self._key_form.fullmatch(key):
            raise ValueError(self._wanted)
        if self._reserved and key.startswith(self._reserved):
            raise ValueError(f"names that start with {self._reserved} are Celeriac's own")

    def shape(self) -> dict[str, Any]:
        names: dict[str, Any] = {"pattern": f"^(?:{self._key})$"}
        if self._reserved:
            names["not"] = {"pattern": f"^{self._reserved}"}
        shape = {"type": "object", "propertyNames": names, "additionalProperties": self._value.shape()}
        return {**shape, "minProperties": self._least} if self._least else shape
