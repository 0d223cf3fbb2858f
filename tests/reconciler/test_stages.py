"""Seconds per stage, of the phases that were told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.stages import STAGES, stages

ROOT = Path(__file__).parents[2]
TIMES = st.floats(0, 1e6)


def test_a_phase_lasts_until_the_next_and_the_last_one_until_the_end() -> None:
    told = [("fetching", 10.0), ("building", 12.0), ("switching", 15.0), ("probing", 15.5), ("draining", 17.0)]
    assert stages(told, 20.0, {}) == {"build": 5.0, "switch": 0.5, "probe": 1.5, "drain": 3.0}


def test_what_comes_twice_counts_twice_beside_what_the_run_did_before() -> None:
    told = [("hook", 1.0), ("starting", 2.0), ("hook", 4.0)]
    assert stages(told, 5.5, {"fetch": 1, "hook": 0.25}) == {"fetch": 1.0, "hook": 2.75, "switch": 2.0}


def test_a_phase_that_is_of_no_stage_ends_the_one_before() -> None:
    assert stages([("building", 1.0), ("dreaming", 2.0), ("probing", 9.0)], 10.0, {}) == {"build": 1.0, "probe": 1.0}
    assert stages([], 10.0, {}) == {}


@given(st.lists(st.tuples(st.sampled_from([*STAGES, "other"]), TIMES), max_size=8), TIMES)
def test_no_stage_takes_less_than_no_time_and_all_together_what_went_by(
    told: list[tuple[str, float]], end: float
) -> None:
    told.sort(key=lambda phase: phase[1])
    found = stages(told, end, {})
    assert all(seconds >= 0 for seconds in found.values())
    if told and end >= told[-1][1]:
        assert sum(found.values()) <= end - told[0][1] + 0.001


@pytest.mark.parametrize("folder", ["runtimes", "sources"])
def test_every_phase_of_the_work_on_an_app_belongs_to_a_stage(folder: str) -> None:
    files = (ROOT / folder).rglob("*.py")
    told = {phase for path in files for phase in re.findall(r"\breport\(\"(\w+)\"\)", path.read_text())}
    assert told
    assert told <= STAGES.keys()
