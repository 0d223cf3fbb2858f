"""How the last step of an app on a node ended: what status, back-off and the next plan are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["ok", "failed", "blocked", "rolled_back", "superseded", "invalid"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One ended step. Times are seconds since the epoch.

    `digest` is the spec that was tried; it is not tried again before `not_before` unless forced.
    `attempts` counts the tries in a row, `by` names the app that a blocked one waits for.
    """

    app: str
    node: str
    action: str
    result: Result
    digest: str = ""
    version: str = ""
    reason: str = ""
    message: str = ""
    run: str = ""
    revision: str = ""
    at: float = 0.0
    attempts: int = 0
    not_before: float = 0.0
    by: str = ""
