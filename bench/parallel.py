"""Parallelism: apps whose deploys sleep, in a graph with a longest path of four, beside the ideal schedule."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from itertools import pairwise

from bench.measure import Scale, median
from bench.place import Place
from bench.table import Row

_LIMIT = 1.25
_PATH = 4


def layered(count: int, path: int, seed: int) -> list[list[int]]:
    """A graph whose longest path has `path` apps: each needs up to two of the layer before. Pure."""
    chance = random.Random(seed)
    layers = [list(range(count))[start::path] for start in range(path)]
    graph: list[list[int]] = [[] for _ in range(count)]
    for before, layer in pairwise(layers):
        for number in layer:
            graph[number] = sorted(chance.sample(before, min(len(before), chance.randint(1, 2))))
    return graph


def ideal(graph: Sequence[Sequence[int]], workers: int, nap: float) -> float:
    """Seconds of a list schedule, longest path first: `workers` machines, no cost but the naps. Pure."""
    below: list[list[int]] = [[] for _ in graph]
    for number, needs in enumerate(graph):
        for need in needs:
            below[need].append(number)
    rank: dict[int, int] = {}

    def height(number: int) -> int:
        if number not in rank:
            rank[number] = 1 + max((height(other) for other in below[number]), default=0)
        return rank[number]

    waits = [len(set(needs)) for needs in graph]
    ready = [(-height(number), number) for number, wait in enumerate(waits) if wait == 0]
    heapq.heapify(ready)
    busy: list[tuple[float, int]] = []
    now = 0.0
    while ready or busy:
        while ready and len(busy) < workers:
            heapq.heappush(busy, (now + nap, heapq.heappop(ready)[1]))
        now, done = heapq.heappop(busy)
        for other in below[done]:
            waits[other] -= 1
            if waits[other] == 0:
                heapq.heappush(ready, (-height(other), other))
    return now


def once(scale: Scale, seed: int) -> tuple[float, float]:
    """Seconds from the first deploy's start to the last one's end, and those of the ideal schedule."""
    graph = layered(scale.sleepers, _PATH, seed)
    with Place(concurrency=scale.workers) as place:
        place.begin()
        for number, needs in enumerate(graph):
            place.app(f"a{number}", needs=tuple(f"a{n}" for n in needs), env={"NOOP_SLEEP": str(scale.nap)})
        place.commit()
        record = place.synced()
        assert record["counts"] == {"ok": scale.sleepers}, record["counts"]
        events = [event for event in place.parts.events.last(10_000) if event.run == record["run"]]
        starts = [event.time for event in events if event.name == "deploy.start"]
        ends = [event.time for event in events if event.name == "deploy.stop"]
    return max(ends) - min(starts), ideal(graph, scale.workers, scale.nap)


def measure(scale: Scale) -> Sequence[Row]:
    """The ratio to the ideal schedule."""
    found = [once(scale, seed) for seed in range(scale.repeat)]
    ratios = tuple(took / best for took, best in found)
    note = f"{median([took for took, _ in found]):.2f} s, ideal {median([best for _, best in found]):.2f} s"
    name = f"{scale.sleepers} apps that sleep {scale.nap:g} s, {scale.workers} processes"
    return [Row(name, median(list(ratios)), "x", _LIMIT, ratios, note)]
