"""One app changed among many: from the pull to the end of the run, beside the one deploy itself."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure import Scale, median
from bench.place import Place
from bench.table import Row

_LIMIT = 0.300


def once(place: Place, number: int) -> tuple[float, float, str]:
    """Change one app: seconds of its run, those of its step in it, and where the time of the run went."""
    place.app("a0", f"1.1.{number}")
    place.commit()
    record = place.synced()
    assert record["counts"] == {"ok": 1}, record
    events = [event for event in place.parts.events.last(100) if event.run == record["run"]]
    step = next(event for event in events if event.name == "upgrade.stop")
    took = step.extra["stages"]
    told = ", ".join(f"{stage} {took[stage] * 1000:.0f}" for stage in ("fetch", "parse", "plan") if stage in took)
    return float(record["duration"]), float(step.duration or 0.0), f"{told} ms"


def measure(scale: Scale) -> Sequence[Row]:
    """What a change costs beside its own deploy."""
    with Place() as place:
        place.many(scale.many)
        place.commit()
        place.begin()
        once(place, 0)
        found = [once(place, number) for number in range(1, scale.repeat + 1)]
    runs = tuple(run - step for run, step, _ in found)
    middle = sorted(found)[len(found) // 2]
    return [Row(f"one of {scale.many} apps changed", median(list(runs)), "ms", _LIMIT, runs, middle[2])]
