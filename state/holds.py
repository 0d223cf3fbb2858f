"""What people said by hand that a sync must respect: suspensions, and holds after a manual roll-back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suspension:
    """Leave an app, or everything, as it is until the time `until` (0: until resumed)."""

    until: float = 0.0
    reason: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep `version` of `app` in force for as long as its spec in Git has the digest `digest`."""

    app: str
    digest: str = ""
    version: str = ""
    at: float = 0.0
    reason: str = ""
