"""How long a change took from commit to healthy, stage by stage (DESIGN section 7). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

STAGES = {
    "fetching": "build",
    "building": "build",
    "hook": "hook",
    "stopping": "switch",
    "switching": "switch",
    "reloading": "switch",
    "starting": "switch",
    "probing": "probe",
    "draining": "drain",
}
"""The stage that each phase of a runtime's work belongs to."""


def stages(phases: Sequence[tuple[str, float]], end: float, before: Mapping[str, float]) -> dict[str, float]:
    """Seconds per stage: those of the run (`before`: fetch, parse, plan), then those of the app's own phases.

    `phases` are (phase, monotonic time) in order; each lasts until the next, the last until `end`.
    """
    seconds = {name: float(value) for name, value in before.items()}
    ends = [*(at for _, at in phases[1:]), end]
    for (phase, began), ended in zip(phases, ends, strict=False):
        stage = STAGES.get(phase)
        if stage:
            seconds[stage] = seconds.get(stage, 0.0) + max(ended - began, 0.0)
    return {name: round(value, 4) for name, value in seconds.items()}
