"""The one place that decides what an error means: retry with back-off, or wait until the spec changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from celeriac.errors import CeleriacError
from celeriac.process import CommandCancelledError
from runtimes.base import Superseded
from sources.failure import SourceFailure

Consequence = Literal["retry", "superseded", "until_changed"]

_UNTIL_CHANGED = frozenset({"IsolationUnavailable", "Misuse", "DataInTheWay"})
_REASONS = {
    "build": "BuildFailed",
    "start": "StartFailed",
    "health": "HealthCheckFailed",
    "stop": "StopFailed",
    "reconfigure": "ReconfigureFailed",
    "remove": "RemoveFailed",
}
"""What a runtime's failure is called, by its step, where the runtime does not say more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an error, with the reason and message that people and machines see."""

    consequence: Consequence
    reason: str
    message: str
    step: str = ""


def classify(error: Exception) -> Verdict:
    """What follows from `error`. An unknown exception is retried: a bug of ours must not stop an app for good."""
    if isinstance(error, Superseded):
        return Verdict("superseded", "Superseded", error.message)
    if isinstance(error, CommandCancelledError):
        return Verdict("superseded", "Superseded", "given up: a newer desired state waits")
    if isinstance(error, CeleriacError):
        output = tuple(getattr(error, "output", ()) or getattr(error, "tail", ()))
        message = _with_output(error.message, output, error.hint)
        consequence: Consequence = "retry" if _may_pass(error) else "until_changed"
        step = str(getattr(error, "step", ""))
        reason = _REASONS.get(step, error.reason) if error.reason == "RuntimeFailure" else error.reason
        return Verdict(consequence, reason, message, step)
    return Verdict("retry", type(error).__name__, f"unexpected {type(error).__name__}: {error}")


def _may_pass(error: CeleriacError) -> bool:
    """Whether it may go well later with nobody changing the spec; what `sources` says of its own failures counts."""
    if error.reason in _UNTIL_CHANGED:
        return False
    source = error if isinstance(error, SourceFailure) else error.__cause__
    return source.retryable if isinstance(source, SourceFailure) else True


def _with_output(message: str, output: tuple[str, ...], hint: str) -> str:
    lines = [message, *(f"  {line}" for line in output[-10:])]
    if hint:
        lines.append(f"  {hint}")
    return "\n".join(lines)
