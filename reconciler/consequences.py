"""The one place that decides what an error means: retry with back-off, or wait until the spec changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from celeriac.errors import CeleriacError
from runtimes.base import RuntimeFailure, Superseded

Consequence = Literal["retry", "superseded", "until_changed"]

_UNTIL_CHANGED = frozenset(
    {"ChecksumMismatch", "UnsafeArchive", "ArchiveTooLarge", "NothingToRun", "IsolationUnavailable", "Misuse"}
)


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
    if isinstance(error, RuntimeFailure):
        consequence: Consequence = "until_changed" if error.reason in _UNTIL_CHANGED else "retry"
        return Verdict(consequence, error.reason, _with_output(error.message, error.output, error.hint), error.step)
    if isinstance(error, CeleriacError):
        output = tuple(getattr(error, "output", ()) or getattr(error, "tail", ()))
        consequence = "until_changed" if error.reason in _UNTIL_CHANGED else "retry"
        step = str(getattr(error, "step", ""))
        return Verdict(consequence, error.reason, _with_output(error.message, output, error.hint), step)
    return Verdict("retry", type(error).__name__, f"unexpected {type(error).__name__}: {error}")


def _with_output(message: str, output: tuple[str, ...], hint: str) -> str:
    lines = [message, *(f"  {line}" for line in output[-10:])]
    if hint:
        lines.append(f"  {hint}")
    return "\n".join(lines)
