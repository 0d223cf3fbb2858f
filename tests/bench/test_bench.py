"""The benchmarks in small: they run, and no ratio is far off. Real numbers come from `make bench`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import ALL, main
from bench.first_sync import random_graph
from bench.measure import Scale
from bench.parallel import ideal, layered
from bench.table import Row, show, write

SMALL = Scale(repeat=1, sizes=(5, 25), many=25, memory=(10,), sleepers=6, workers=3, nap=0.2, switches=1, requests=20)
FAR = 25.0  # so small a case has costs that do not shrink with it, and other tests run beside it


@pytest.mark.e2e
@pytest.mark.parametrize("name", ALL)
def test_a_benchmark_runs_in_small_with_no_ratio_far_off(name: str) -> None:
    rows = ALL[name](SMALL)
    assert rows
    assert all(row.value > 0 for row in rows if "beyond" not in row.name and row.unit != "n")
    assert all(row.ok for row in rows if row.unit == "n"), rows
    assert all(row.value < FAR for row in rows if row.unit == "x"), rows


def test_apps_of_the_random_graph_need_up_to_two_earlier_ones() -> None:
    graph = random_graph(200, seed=1)
    assert graph == random_graph(200, seed=1)
    assert {len(needs) for needs in graph} == {0, 1, 2}
    assert all(need < number for number, needs in enumerate(graph) for need in needs)


def test_the_layered_graph_has_a_longest_path_of_as_many_layers() -> None:
    graph = layered(64, 4, seed=3)
    assert ideal(graph, workers=64, nap=1.0) == 4.0
    assert sum(not needs for needs in graph) == 16


def test_the_ideal_schedule_is_bound_by_the_workers_and_by_the_longest_path() -> None:
    assert ideal([[] for _ in range(7)], workers=2, nap=1.0) == 4.0
    assert ideal([[], [0], [1], []], workers=2, nap=0.5) == 1.5


def test_results_are_kept_as_json_with_what_is_over_its_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Row("fast", 0.01, "ms", 0.04, (0.01,)), Row("slow", 2.0, "x", 1.5), Row("size", 12.0, "MB")]
    document = json.loads(write(rows, quick=True, folder=tmp_path).read_text())
    assert [row["ok"] for row in document["rows"]] == [True, False, True]
    assert document["quick"] is True
    show(rows)
    shown = capsys.readouterr().out
    assert "missed" in shown
    assert "10.0 ms" in shown


def test_an_unknown_benchmark_is_refused_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nothing"])
    assert ended.value.code == 2
    assert "first_sync" in capsys.readouterr().err
