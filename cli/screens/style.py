"""The colours and marks of every screen: one meaning, one colour. Text only, never markup.

Values go into `Text` objects, so a name or message with brackets in it stays what it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from cli.text import printable

_GOOD = "green"
_BUSY = "cyan"
_WARN = "yellow"
_BAD = "red"
_DIM = "dim"

_GAP = 2  # between columns
_LEAST = 8  # characters of the column that gives way

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


class _Narrowing(Table):
    """All its columns give way where the flexible one alone cannot give enough: rich would leave that one out."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = [
            max([cell_len(str(column.header)), *(cell.cell_len for cell in column.cells if isinstance(cell, Text))])
            for column in self.columns
        ]
        flexible = {place for place, column in enumerate(self.columns) if column.min_width}
        least = [_LEAST if place in flexible else width for place, width in enumerate(widths)]
        cut: Sequence[int | None] = [None] * len(widths)
        if sum(least) + _GAP * (len(least) - 1) > options.max_width:
            short = [min(width, has) for width, has in zip(least, widths, strict=True)]
            cut = narrowed(short, flexible, options.max_width - _GAP * len(short))
        for column, width in zip(self.columns, cut, strict=True):
            column.width = width
        yield from super().__rich_console__(console, options)


def narrowed(widths: Sequence[int], kept: Collection[int], room: int) -> list[int]:
    """`widths` that fit into `room`: the widest gives way first, those at the places `kept` last. Pure."""
    cut = list(widths)
    while sum(cut) > room and max(cut, default=1) > 1:
        others = [place for place, width in enumerate(cut) if place not in kept and width > 1]
        cut[max(others or range(len(cut)), key=cut.__getitem__)] -= 1
    return cut


def table(*columns: str, flexible: str = "") -> Table:
    """An empty table without lines. `flexible` names the column that gives way where room is short."""
    made = _Narrowing(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim", show_edge=False)
    for column in columns:
        # rich takes room from columns that may wrap; the cells of this one, made by `fluid`, are cut instead
        made.add_column(
            column, no_wrap=column != flexible, overflow="ellipsis", min_width=_LEAST if column == flexible else None
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
