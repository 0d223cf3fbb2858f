"""Upgrades of an app beside itself, while requests arrive all the time: how many fail, and how long they take.

The traffic comes from a process of its own (`tests/support/traffic.py`): half of the requests each on a new connection,
half on connections that are kept, every tenth slow. The ways to switch are compared in `bench.switches`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.measure import Scale, median
from bench.place import Place
from bench.table import Row

from beside import Beside, exposed, free_port  # isort: skip - found once bench.place has made the path
from traffic import Traffic  # isort: skip

_RATE = 200.0


def under_traffic(scale: Scale) -> list[Row]:
    """Many upgrades in a row under traffic: what failed, and the longest request."""
    with Place() as place:  # for its folder alone: nothing of it is started
        beside, port = Beside(place.home), free_port()
        runtime = beside.runtime()
        served: list[float] = []
        whole: list[float] = []
        beside.on_phase = lambda phase: served.append(time.perf_counter()) if phase == "switching" else None
        try:
            runtime.deploy(exposed(port, "0"))
            began = time.monotonic()
            with Traffic(port, _RATE, 0) as traffic:
                for number in range(1, scale.switches + 1):
                    start = time.perf_counter()
                    runtime.upgrade(exposed(port, str(number)), str(number - 1))
                    whole.append(time.perf_counter() - start)
                    served[-1] -= start
                time.sleep(max(0.0, began + 1.1 * scale.requests / (_RATE / 2) - time.monotonic()))
            seen = traffic.end()
            assert len(beside.pids()) == 1
        finally:
            beside.end()
    rows = []
    for kind in ("new", "kept"):
        one = seen[kind]
        note = f"of {one['sent']:,}; longest {one['longest'] * 1000:.0f} ms {one['failed'] or ''}".strip()
        name = f"{scale.switches} upgrades beside, failed on {kind} connections"
        rows.append(Row(name, sum(one["failed"].values()), "n", 0, (), note))
    note = f"and until the old one has drained and ended: {median(whole):.2f} s"
    return [*rows, Row("upgrade beside under traffic, until it serves", median(served), "s", None, tuple(served), note)]


def measure(scale: Scale) -> Sequence[Row]:
    """What fails of upgrades of the runtime, and of each way to switch; and the way from a commit to its serving."""
    from bench import pushed, switches

    return [*under_traffic(scale), *switches.measure(scale), *pushed.measure(scale)]
