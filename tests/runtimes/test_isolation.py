"""Who hosts which apps."""

from __future__ import annotations

import pytest

from runtimes.base import RuntimeFailure
from runtimes.isolation import DEFAULT, refuse_isolation
from specs.model import AppSpec


def test_what_is_offered_is_not_refused() -> None:
    refuse_isolation(AppSpec("web", "1"), DEFAULT, "noop")
    refuse_isolation(AppSpec("web", "1", isolation="embedded"), ("process", "embedded"), "process")


@pytest.mark.parametrize(
    ("offered", "hint"),
    [(DEFAULT, "set isolation: process"), (["b", "a"], "set isolation: a or b"), ((), "set isolation: another")],
)
def test_what_is_not_offered_is_refused_with_what_is(offered: tuple[str, ...], hint: str) -> None:
    with pytest.raises(RuntimeFailure, match="the noop runtime does not host embedded apps") as caught:
        refuse_isolation(AppSpec("web", "1", isolation="embedded"), offered, "noop")
    error = caught.value
    assert (error.app, error.step, error.reason, error.hint) == ("web", "start", "IsolationUnavailable", hint)
