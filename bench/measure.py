"""How a number is taken: how often, of how many apps, and the median of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much to do: repetitions, apps of the small and large cases, and apps of the parallel case.

    `switches` are the upgrades in a row, `requests` those that arrive meanwhile at least, on each kind of connection.
    """

    repeat: int = 7
    sizes: tuple[int, ...] = (10, 100, 1000, 5000, 10000)
    many: int = 5000
    memory: tuple[int, ...] = (100, 1000, 5000)
    sleepers: int = 64
    workers: int = 16
    nap: float = 1.0
    switches: int = 20
    requests: int = 5000


FULL = Scale()
QUICK = Scale(repeat=3, sizes=(10, 100, 1000, 5000), memory=(100, 1000), switches=5, requests=1000)


def median(samples: list[float]) -> float:
    """The median."""
    return statistics.median(samples)


def seconds(action: Callable[[], object]) -> float:
    """How long `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def until(condition: Callable[[], bool], pause: float = 0.001) -> None:
    """Wait for `condition`; TimeoutError after ten minutes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a benchmark waits for something that does not happen")
        time.sleep(pause)
