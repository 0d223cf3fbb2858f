"""The root of every error that Celeriac raises on purpose.

An error says what happened, where, and what to do next. It is raised by what happened;
what follows from it (retry, wait, stop until the spec changes) is decided in one place,
`reconciler.consequences.classify`.
"""

from __future__ import annotations


class CeleriacError(Exception):
    """Something happened that a user must be able to understand without reading code.

    `reason` is a stable CamelCase word for machines, `message` a sentence for people,
    `hint` what to do next (may be empty). None of them ever holds a secret.
    """

    reason = "Error"

    def __init__(self, message: str, *, hint: str = "", reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if reason is not None:
            self.reason = reason

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class MisuseError(CeleriacError):
    """The command, call or setting itself is wrong: nothing was attempted. Exit code 2."""

    reason = "Misuse"


class SettingsError(MisuseError):
    """A setting is missing or not of its form."""

    reason = "BadSetting"
