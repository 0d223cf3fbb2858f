"""The idle tick: what a sync costs when nothing changed, beside the bare `git ls-remote` that it has to make."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from bench.measure import Scale, median, seconds
from bench.place import Place
from bench.table import Row

_BEYOND = 0.040
_GROWTH = 1.3


def once(count: int, repeat: int) -> tuple[list[float], list[float]]:
    """Seconds for ticks with `count` apps, and for as many `git ls-remote`, taken in turns."""
    ticks: list[float] = []
    bare: list[float] = []
    with Place() as place:
        place.many(count)
        place.commit()
        place.begin()
        place.tick()  # the first one looks again at what the run before has changed
        place.idle()
        for _ in range(repeat):
            ticks.append(place.tick())
            bare.append(seconds(lambda: ls_remote(place)))
    return ticks, bare


def ls_remote(place: Place) -> None:
    """Ask the remote for its branch, as a user would."""
    argv = ["git", "ls-remote", "--", str(place.repo), "refs/heads/main"]
    subprocess.run(argv, check=True, capture_output=True, env=dict(os.environ))


def measure(scale: Scale) -> Sequence[Row]:
    """A row per number of apps, what is beyond `git ls-remote`, and the growth from the smallest to 5,000 apps.

    The two that the growth is about are measured a second time: a machine has its slow minutes.
    """
    small, large = min(scale.sizes), max(count for count in scale.sizes if count <= scale.many)
    found: dict[int, tuple[list[float], list[float]]] = {count: ([], []) for count in scale.sizes}
    for count in (*scale.sizes, small, large):
        for all_, more in zip(found[count], once(count, scale.repeat), strict=True):
            all_ += more
    rows = []
    for count, (ticks, bare) in found.items():
        beside = median(bare)
        note = f"git ls-remote: {beside * 1000:.1f} ms"
        rows.append(Row(f"idle tick, {count} apps", median(ticks), "ms", None, tuple(ticks), note))
        beyond = tuple(tick - remote for tick, remote in zip(ticks, bare, strict=True))
        rows.append(Row(f"idle tick, {count} apps, beyond ls-remote", median(list(beyond)), "ms", _BEYOND, beyond))
    ratio = median(found[large][0]) / median(found[small][0])
    return [*rows, Row(f"idle tick, {large} apps by {small}", ratio, "x", _GROWTH)]
