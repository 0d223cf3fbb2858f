"""`celeriac rollback` of a real app: from the command until the earlier release is healthy, beside its own start."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure import Scale, median, seconds
from bench.served import NAME, Served, release_of, served
from bench.table import Row

_LIMIT = 2.0


def once(place: Served) -> tuple[float, float, float]:
    """Roll back once: seconds of the command, of its step, and of the app's own start."""
    before = release_of(place)
    took = seconds(lambda: place.cli("rollback", NAME))
    assert release_of(place) != before
    assert place.healthy()
    step = next(event for event in reversed(place.parts.events.last(200)) if event.name == "rollback.stop")
    assert step.result == "ok", step
    return took, float(step.duration or 0.0), place.own_start()


def measure(scale: Scale) -> Sequence[Row]:
    """What a roll-back costs beside the app's own start. Each goes back to the release that ran before."""
    with served("1.0", "2.0") as place:
        once(place)
        found = [once(place) for _ in range(scale.repeat)]
    beyond = tuple(took - start for took, _, start in found)
    note = (
        f"{median([took for took, _, _ in found]) * 1000:.0f} ms, of which its step "
        f"{median([step for _, step, _ in found]) * 1000:.0f}, own start "
        f"{median([start for _, _, start in found]) * 1000:.0f}"
    )
    return [Row("celeriac rollback beyond the app's own start", median(list(beyond)), "s", _LIMIT, beyond, note)]
