"""`kill -9` of a real app: until it answers again, and until Celeriac says that it is healthy again, beside its own
start.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from bench.measure import Scale, median, until
from bench.served import NAME, Served, served
from bench.table import Row
from runtimes.supervisor_conf import STARTS_SECONDS

_LIMIT = 3.0


def once(place: Served, pause: float) -> tuple[float, float, float]:
    """Kill the app once: seconds until it answers, until it is known to be healthy, and of its own start."""
    until(lambda: _healthy(place, 0) and _settled(place), 0.01)
    time.sleep(pause)  # so that looks and kills do not keep step
    pid = place.parts.live.app(NAME)[place.node].pid
    assert pid
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not place.healthy())
    until(place.healthy)
    answered = time.perf_counter() - began
    until(lambda: _healthy(place, pid), 0.01)
    return answered, time.perf_counter() - began, place.own_start()


def _settled(place: Served) -> bool:
    """Whether the app has been up for long enough that its end counts as a crash, and not as a failed start."""
    started = place.parts.live.app(NAME)[place.node].started_at
    return started is not None and time.time() - started.timestamp() > STARTS_SECONDS + 1


def _healthy(place: Served, killed: int) -> bool:
    state = place.parts.live.app(NAME).get(place.node)
    return state is not None and (state.status, state.health) == ("running", "healthy") and state.pid != killed


def measure(scale: Scale) -> Sequence[Row]:
    """What healing costs beside the app's own start."""
    with served("1.0") as place:
        found = [once(place, number * 0.37 % 2) for number in range(scale.repeat)]
    answered = tuple(took - start for took, _, start in found)
    known = tuple(took - start for _, took, start in found)
    note = f"own start {median([start for _, _, start in found]) * 1000:.0f} ms, longest {max(known):.1f} s"
    return [
        Row("kill -9 to answering again, beyond own start", median(list(answered)), "s", _LIMIT, answered, note),
        Row("kill -9 to known healthy, beyond own start", median(list(known)), "s", _LIMIT, known, note),
    ]
