"""The live state of one app on one node, as observed. The counterpart of `AppSpec`.

Made by runtimes, stored by state, compared by the reconciler. `release.json` and the live
process are its source; Redis only keeps a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from specs.model import Icon, Isolation

Status = Literal["pending", "starting", "running", "upgrading", "stopped", "failed"]
HealthStatus = Literal["healthy", "unhealthy", "unknown"]


@dataclass(frozen=True, slots=True)
class AppState:
    """What one node knows of one app.

    `digest` is the one stamped in the live process where one runs (observed), else the one in
    the release manifest (applied). `path` is the release folder. `started_at` is UTC. `reason` is one
    CamelCase word for what `message` says, where there is one. `limits` says what holds the app to its limits,
    such as `{"memory": "cgroup v2", "cpus": "affinity"}`: empty without limits, or when it does not run. `drift`
    says what was changed or stopped on the node by somebody else than Celeriac; empty when nothing was.
    """

    name: str
    version: str
    revision: str = ""
    digest: str = ""
    status: Status = "pending"
    health: HealthStatus = "unknown"
    node: str = ""
    pid: int | None = None
    path: str = ""
    started_at: datetime | None = None
    message: str = ""
    depends_on: tuple[str, ...] = ()
    isolation: Isolation = "process"
    description: str = ""
    icon: Icon = field(default_factory=Icon)
    reason: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)
    drift: str = ""
