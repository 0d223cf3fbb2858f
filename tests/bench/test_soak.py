"""The soak in small: it runs, and counts. A thousand upgrades are for `make soak`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.soak import Left, rows, soak

BEFORE = Left(processes=9, ports=4, files=200, releases=6, keys=40, worker=100, host=50)


@pytest.mark.e2e
def test_nothing_is_left_of_twenty_upgrades() -> None:
    found = soak(20)
    assert len(found) == 10
    assert [row.name for row in rows(found, 20) if row.unit == "n" and not row.ok] == []


def test_what_grows_after_the_first_fifth_is_over_its_budget() -> None:
    found = [replace(BEFORE, processes=20, worker=1)] * 1 + [BEFORE] * 8
    assert all(row.ok for row in rows([*found, BEFORE], 10))
    for grown in (
        replace(BEFORE, processes=10),
        replace(BEFORE, ports=5),
        replace(BEFORE, files=201),
        replace(BEFORE, releases=7),
        replace(BEFORE, keys=41),
        replace(BEFORE, worker=106),
        replace(BEFORE, host=53),
    ):
        assert sum(not row.ok for row in rows([*found, grown], 10)) == 1
