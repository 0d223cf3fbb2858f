"""Which runtimes host which apps: a runtime says it in `isolations`; one that does not say runs apps as processes.

Asked by the registry, before a step is begun, and by the process runtime, whoever called it.
"""

from __future__ import annotations

from collections.abc import Collection

from runtimes.base import RuntimeFailure
from specs.model import AppSpec, Isolation

DEFAULT: frozenset[Isolation] = frozenset({"process"})


def refuse_isolation(spec: AppSpec, offered: Collection[str], runtime: str) -> None:
    """Raise RuntimeFailure (reason IsolationUnavailable) unless `spec.isolation` is among those `offered`."""
    if spec.isolation in offered:
        return
    raise RuntimeFailure(
        spec.name,
        "start",
        f"the {runtime} runtime does not host {spec.isolation} apps",
        reason="IsolationUnavailable",
        hint=f"set isolation: {' or '.join(sorted(offered)) or 'another'}",
    )
