"""How long it is waited between two probes of an app that starts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.base import Superseded
from runtimes.health import ProbeResult, pause_after, wait_healthy

SECONDS = st.floats(0, 100)


@given(waited=SECONDS, took=SECONDS)
def test_a_pause_is_in_proportion_to_what_was_waited_and_never_long(waited: float, took: float) -> None:
    pause = pause_after(waited, took)
    assert 0.003 <= pause <= 0.25
    assert pause >= min(took, 0.25)
    if took <= 0.003 <= waited * 0.03 <= 0.25:
        assert pause == waited * 0.03


def test_it_is_asked_until_it_is_well() -> None:
    answers = iter([ProbeResult(False, "no"), ProbeResult(False, "no"), ProbeResult(True)])
    assert wait_healthy(lambda left: next(answers), grace=30, crashed=lambda: "").ok


def test_what_crashed_is_not_waited_for() -> None:
    looks = iter(["", "it ended again and again"])
    result = wait_healthy(lambda left: ProbeResult(False, "no"), grace=30, crashed=lambda: next(looks))
    assert (result.ok, result.message) == (False, "it ended again and again")


def test_whether_it_crashed_is_looked_at_less_often_than_it_is_asked() -> None:
    asked, looked = [], []

    def ask(left: float) -> ProbeResult:
        asked.append(time.monotonic())
        return ProbeResult(len(asked) == 20, "no")

    def crashed() -> str:
        looked.append(time.monotonic())
        return ""

    assert wait_healthy(ask, grace=30, crashed=crashed).ok
    assert 1 <= len(looked) < len(asked)


def test_after_its_grace_it_is_said_what_was_wrong_last() -> None:
    result = wait_healthy(lambda left: ProbeResult(False, "answered 500"), grace=0.05, crashed=lambda: "")
    assert (result.ok, result.message) == (False, "not healthy within 0.05s: answered 500")


def test_what_is_no_longer_wanted_is_given_up() -> None:
    with pytest.raises(Superseded):
        wait_healthy(lambda left: ProbeResult(True), grace=30, crashed=lambda: "", cancelled=lambda: True)


def test_a_probe_that_the_end_of_the_wait_cut_short_does_not_hide_what_was_wrong() -> None:
    def ask(left: float) -> ProbeResult:
        time.sleep(0.05)
        return ProbeResult(False, "no table" if left > 0.2 else "took too long")

    result = wait_healthy(ask, grace=0.5, crashed=lambda: "")
    assert result.message == "not healthy within 0.5s: no table"
