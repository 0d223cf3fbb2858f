"""The colours and marks of every screen: one meaning, one colour. Text only, never markup.

Values go into `Text` objects, so a name or message with brackets in it stays what it is.
"""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from cli.text import printable

_GOOD = "green"
_BUSY = "cyan"
_WARN = "yellow"
_BAD = "red"
_DIM = "dim"

COLOURS: dict[str, str] = {
    "synced": _GOOD,
    "ready": _GOOD,
    "running": _GOOD,
    "healthy": _GOOD,
    "ok": _GOOD,
    "syncing": _BUSY,
    "initializing": _BUSY,
    "starting": _BUSY,
    "upgrading": _BUSY,
    "pending": _DIM,
    "out_of_sync": _WARN,
    "degraded": _WARN,
    "blocked": _WARN,
    "suspended": _DIM,
    "superseded": _DIM,
    "stopped": _DIM,
    "unknown": _DIM,
    "warn": _WARN,
    "rolled_back": _WARN,
    "invalid": _BAD,
    "failed": _BAD,
    "fail": _BAD,
    "unhealthy": _BAD,
    "error": _BAD,
    "down": _BAD,
}


def word(value: Any, *, colour_by: str = "") -> Text:
    """A state as a coloured word, `out_of_sync` as people write it."""
    text = printable(value)
    return Text(text.replace("_", " "), style=COLOURS.get(colour_by or text, ""))


def plain(value: Any, style: str = "") -> Text:
    """A value from elsewhere as text."""
    return Text(printable(value), style=style)


def table(*columns: str, flexible: str = "") -> Table:
    """An empty table without lines. `flexible` names the column that gives way where room is short."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for column in columns:
        # rich takes room from columns that may wrap; the cells of this one, made by `fluid`, are cut instead
        made.add_column(
            column, no_wrap=column != flexible, overflow="ellipsis", min_width=8 if column == flexible else None
        )
    return made


def fluid(value: Any, style: str = "") -> Text:
    """A value for the column of a table that gives way: on one line, cut where room is short."""
    return Text(printable(value), style=style, no_wrap=True, overflow="ellipsis")


def facts(*rows: tuple[str, Any]) -> Table:
    """Pairs of a label and a value, one a line; empty values are left out."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for label, value in rows:
        text = value if isinstance(value, Text) else plain(value)
        if text.plain:
            made.add_row(label, text)
    return made
