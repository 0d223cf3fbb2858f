"""One thing that is wrong with one spec, said as `apps/web/app.yaml:7:3: health.port: must be 1..65535`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Where and what. Line and column count from 1; 0 where a file as a whole is meant.

    `field` is the dotted path of the field, empty for the file itself. The message names no value
    of `env`, since those may be secrets.
    """

    path: str
    message: str
    field: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        what = f"{self.field}: {self.message}" if self.field else self.message
        return f"{where}: {what}"
