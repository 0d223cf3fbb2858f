"""The bounds of one build."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from celeriac.process import CommandCancelledError
from sources.failure import BuildFailed
from sources.workshop import Workshop


def test_time_that_is_up_ends_the_build_and_may_be_tried_again(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, tmp_path, deadline=time.monotonic())
    with pytest.raises(BuildFailed) as caught:
        workshop.check()
    assert (caught.value.reason, caught.value.retryable) == ("BuildTimeout", True)


def test_whether_it_is_still_wanted_is_not_asked_at_every_chunk(tmp_path: Path) -> None:
    asked: list[int] = []
    workshop = Workshop(tmp_path, tmp_path, deadline=time.monotonic() + 60, cancelled=lambda: bool(asked.append(1)))
    started = time.monotonic()
    for _ in range(1000):
        workshop.check()
    assert len(asked) <= (time.monotonic() - started) / 0.5


def test_a_build_that_is_no_longer_wanted_ends_at_a_safe_point(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, tmp_path, deadline=time.monotonic() + 60, cancelled=lambda: True)

    def check_for_long() -> None:
        while True:
            workshop.check()

    with pytest.raises(CommandCancelledError):
        check_for_long()
