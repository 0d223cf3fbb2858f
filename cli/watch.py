"""The live overview: redrawn on a terminal, a line per change elsewhere. Ends with Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from celeriac.errors import CeleriacError
from cli.output import console, redraws
from cli.text import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_EVERY = 1.0


def watch_status(footer: str = "", *, check: Callable[[], None] | None = None) -> NoReturn:
    """Show the status until interrupted. `check` is called between two looks and may raise to end it.

    Redis being away for a while is shown and waited for: it comes back, or the user gives up.
    """
    screen = console()
    if redraws(screen):
        _redraw(screen, footer, check)
    _print_changes(screen, check)


def _redraw(screen: Console, footer: str, check: Callable[[], None] | None) -> NoReturn:
    from rich.live import Live

    with Live(console=screen, screen=False, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(_screen(footer, screen.height), refresh=True)
            _pause(check)


def _screen(footer: str, height: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from cli.screens.status import overview
    from tasks import api

    foot = [Text(), Text(footer, style="dim")] if footer else []
    try:
        now = api.status()
        trouble = api.trouble() if now["status"] == "error" else ""
        room = height - len(foot) - (2 if trouble else 1)
        return Group(overview(now, datetime.now(UTC), height=room, trouble=trouble), *foot)
    except CeleriacError as error:
        return Group(Text(f"waiting: {printable(error.message)}", style="yellow"), *foot)


def _print_changes(screen: Console, check: Callable[[], None] | None) -> NoReturn:
    from cli.screens.status import changes
    from tasks import api

    before: dict[str, Any] | None = None
    away = ""
    while True:
        try:
            now = dict(api.status())
        except CeleriacError as error:
            if error.message != away:
                screen.print(f"waiting: {printable(error.message)}", markup=False, soft_wrap=True)
            away = error.message
        else:
            away = ""
            for line in changes(before, now):
                screen.print(f"{datetime.now(UTC).astimezone():%H:%M:%S} {line}", markup=False, soft_wrap=True)
            before = now
        screen.file.flush()
        _pause(check)


def _pause(check: Callable[[], None] | None) -> None:
    if check is not None:
        check()
    time.sleep(_EVERY)
