"""What a benchmark found, as a value; and the table and the JSON file that are made of such values."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
_FORMS = {
    "ms": (1000.0, "{:,.1f} ms"),
    "s": (1.0, "{:,.2f} s"),
    "MB": (1.0, "{:,.0f} MB"),
    "x": (1.0, "{:.2f} x"),
    "n": (1.0, "{:,.0f}"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number: `value` in seconds, megabytes, as a ratio or a count, the `limit` it is held to, if any.

    `samples` are all that the median `value` was taken of; `note` says what it was measured against.
    """

    name: str
    value: float
    unit: Literal["ms", "s", "MB", "x", "n"]
    limit: float | None = None
    samples: tuple[float, ...] = ()
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the limit, if there is one, is kept."""
        return self.limit is None or self.value <= self.limit


def shown(value: float, unit: str) -> str:
    """A number as people read it. Pure."""
    factor, form = _FORMS[unit]
    return form.format(value * factor)


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table("benchmark", "median", "budget", "", "beside", title=f"Celeriac, {_machine()}")
    for column in table.columns[1:3]:
        column.justify = "right"
    for row in rows:
        limit = "" if row.limit is None else shown(row.limit, row.unit)
        verdict = "" if row.limit is None else "kept" if row.ok else "missed"
        table.add_row(row.name, shown(row.value, row.unit), limit, verdict, row.note)
    Console().print(table)


def write(rows: Sequence[Row], *, quick: bool, folder: Path = RESULTS) -> Path:
    """Keep the numbers as JSON in `<folder>/<time>.json`; where."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y-%m-%dT%H%M%SZ}.json"
    document = {
        "schema": 1,
        "at": now.isoformat(timespec="seconds"),
        "machine": _machine(),
        "quick": quick,
        "rows": [{**asdict(row), "ok": row.ok} for row in rows],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
