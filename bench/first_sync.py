"""The first sync of many apps in a random dependency graph, beside as many empty Celery tasks on the same worker."""

from __future__ import annotations

import random
from collections.abc import Sequence

from bench.measure import Scale, median
from bench.place import Place
from bench.table import Row


def random_graph(count: int, seed: int) -> list[list[int]]:
    """Each app on up to two earlier ones. Pure."""
    chance = random.Random(seed)
    return [chance.sample(range(number), min(number, chance.randint(0, 2))) for number in range(count)]


def once(count: int, seed: int) -> tuple[float, float]:
    """Seconds for the first sync of `count` apps, and for `count` empty tasks on the same worker.

    These are the mean of before and after, so that what else the machine does meanwhile counts for both.
    """
    with Place() as place:
        place.begin()
        before = place.empty_tasks(count)
        place.many(count, random_graph(count, seed))
        place.commit()
        record = place.synced()
        assert record["counts"] == {"ok": count}, record["counts"]
        return float(record["duration"]), (before + place.empty_tasks(count)) / 2


def measure(scale: Scale) -> Sequence[Row]:
    """The ratio that issue 2 asks for, and both its sides."""
    pairs = [once(scale.many, seed) for seed in range(scale.repeat)]
    syncs, empties = [sync for sync, _ in pairs], [empty for _, empty in pairs]
    ratios = [sync / empty for sync, empty in pairs]
    name = f"first sync, {scale.many} apps"
    return [
        Row(name, median(syncs), "s", None, tuple(syncs), f"{scale.many} empty tasks: {median(empties):.2f} s"),
        Row(f"{name}, by empty tasks", median(ratios), "x", 1.5, tuple(ratios), "up to two dependencies each"),
    ]
