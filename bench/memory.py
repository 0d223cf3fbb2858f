"""Memory: the peak of the worker's main process and of its largest pool process, during a first sync and a tick."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.first_sync import random_graph
from bench.measure import Scale
from bench.place import Place
from bench.table import Row


def peak(pid: int) -> float:
    """The most memory that a process ever had, in megabytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def once(count: int) -> tuple[float, float]:
    """Megabytes: main process, largest pool process."""
    with Place() as place:
        place.begin()
        place.many(count, random_graph(count, count))
        place.commit()
        place.synced()
        place.tick()
        return peak(place.processes["worker"].pid), max(peak(child) for child in place.pool_children())


def measure(scale: Scale) -> Sequence[Row]:
    """A row per number of apps."""
    rows = []
    for count in scale.memory:
        main, child = once(count)
        rows.append(Row(f"peak memory, {count} apps, a pool process", child, "MB", None, (), f"main {main:,.0f} MB"))
    return rows
