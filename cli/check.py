"""What one look of `celeriac doctor` found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from celeriac.errors import CeleriacError
from cli.text import one_line


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, how it is, and what to do unless it is ok."""

    name: str
    result: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""


def ok(name: str, detail: str) -> Check:
    """As it should be."""
    return Check(name, "ok", detail)


def warn(name: str, detail: str, advice: str) -> Check:
    """Works, for now or in part."""
    return Check(name, "warn", detail, advice)


def fail(name: str, detail: str, advice: str = "") -> Check:
    """Does not work."""
    return Check(name, "fail", detail, advice)


def guarded(name: str, look: Callable[[], Check]) -> Check:
    """What `look` finds, or that it could not look."""
    try:
        return look()
    except CeleriacError as error:
        return fail(name, one_line(error.message), error.hint)
    except OSError as error:
        return fail(name, f"{error.filename or name}: {(error.strerror or 'cannot be used').lower()}")
