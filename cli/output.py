"""Where commands write: JSON for programs, rich screens for people, progress on standard error.

rich is imported when a screen is made, so that `--json` never pays for it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 200  # nothing is cut short for a program or a file that reads us


def print_json(value: Any) -> None:
    """Write one document, indented, with non-JSON values (times) as ISO 8601 text."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_json_line(value: Any) -> None:
    """Write one document on a line of its own, at once: for streams."""
    click.echo(msgspec.json.encode(value).decode())
    sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or error: colours and the real width on a terminal, plain and wide elsewhere."""
    from rich.console import Console

    class Quiet(Console):
        """Leaves a closed pipe to `cli.exits`, which ends the command without a word."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Quiet(file=stream, width=width, highlight=False, soft_wrap=False, emoji=False)


def redraws(screen: Console) -> bool:
    """Whether what was printed can be replaced there: on a terminal that can move its cursor.

    FORCE_COLOR asks for colours, and makes no terminal of a file.
    """
    return screen.file.isatty() and screen.is_terminal and not screen.is_dumb_terminal


def show(renderable: Any) -> None:
    """Print one screen on standard output."""
    console().print(renderable)
