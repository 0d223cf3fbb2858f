"""The events of a YAML text, from ruamel's scanner and parser, and its faults in our words.

The only module that knows ruamel's errors. What the events mean is decided in `yaml_format`; no constructor and
no resolver of ruamel's ever runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ruamel.yaml.error import YAMLError, YAMLStreamError
from ruamel.yaml.events import Event
from ruamel.yaml.loader import SafeLoader

from specs.document import MalformedError, Position, malformed, printable

# What ruamel's parser raises for bad input besides its own errors: a code point out of range, an odd
# directive, and the like.
_PARSER_FAULTS = (ValueError, OverflowError, LookupError, AssertionError, TypeError, AttributeError, RecursionError)
_LONG_TAG = re.compile(r"(?<!\S)!\S{300}")  # these cost the parser the square of their length


def events(text: str) -> Iterator[Event]:
    """Every event of `text` in order. Raises MalformedError, possibly after some events."""
    long_tag = _LONG_TAG.search(text)
    if long_tag is not None:
        raise malformed("this tag is not supported; write the value plainly", *_place(text, long_tag.start()))
    try:
        parser = SafeLoader(text)
        while parser.check_event():
            yield parser.get_event()
    except (YAMLError, YAMLStreamError) as error:
        raise _as_malformed(error, text) from error
    except _PARSER_FAULTS as error:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.startswith("%"):
                raise malformed("directives are not supported; remove this line", number, 1) from error
        raise malformed("is not YAML that can be read", 1, 1) from error


def _as_malformed(error: Exception, text: str) -> MalformedError:
    """What ruamel says, in one line, without any part of the file's text."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        place = getattr(error, "position", None)
        if not isinstance(place, int):
            return malformed("is not YAML that can be read", 1, 1)
        shown = f"holds a character that YAML does not allow (U+{ord(text[place]):04X})"
        return malformed(shown, *_place(text, place))
    problem = " ".join(str(getattr(error, "problem", "") or "is not YAML").split())
    if "'\\t'" in problem:
        problem = "a tab cannot be used here; indent with spaces"
    return malformed(printable(problem), mark.line + 1, mark.column + 1)


def _place(text: str, offset: int) -> Position:
    return (text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))
