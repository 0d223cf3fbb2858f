"""Commands in a spec: a list of words, or one line, to an argv. No shell ever sees them."""

from __future__ import annotations

import re
import shlex
from typing import Any

from marshmallow import ValidationError

from specs.document import WrittenFloat
from specs.fields import SpecField
from specs.model import Argv

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST_ARGUMENT = 128 * 1024  # bytes; the kernel starts no process with a longer one


class Command(SpecField):
    """A program and its arguments: a list, or a line that is split as a shell would, but never run by one."""

    def read(self, value: Any) -> Argv:
        if isinstance(value, str):
            try:
                words = shlex.split(value)
            except ValueError as error:
                raise ValueError(f"cannot be split into words: {str(error).lower()}") from error
        elif isinstance(value, list):
            words = [self._word(item, index) for index, item in enumerate(value)]
        else:
            raise ValueError("must be a list of words, or one line of text")
        if not words or not words[0]:
            raise ValueError("names no program")
        for index, word in enumerate(words):
            _check_argument(word, index, in_list=isinstance(value, list))
        return tuple(words)

    @staticmethod
    def _word(item: Any, index: int) -> str:
        if isinstance(item, str):
            return item
        if isinstance(item, WrittenFloat):
            return item.text
        if isinstance(item, int) and not isinstance(item, bool):
            return str(item)
        raise ValidationError({index: ["must be text; write it in quotes"]})

    def shape(self) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1},
            ]
        }


def _check_argument(word: str, index: int, *, in_list: bool) -> None:
    message = ""
    if _CONTROL.search(word):
        message = "must not hold control characters or line breaks"
    elif len(word.encode()) >= _LONGEST_ARGUMENT:
        message = "is longer than any system accepts"
    if message:
        raise ValidationError({index: [message]} if in_list else [message])
