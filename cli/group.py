"""A click group that imports a command's module when it is named, and ends every command the same way.

Commands return their exit code (None is 0) and raise CeleriacErrors; `cli.exits` turns what
they raised into a message and a code.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from cli.exits import PipeClosed, guard


class LazyGroup(click.Group):
    """`modules` maps a command's name to its module, which holds the command under that name."""

    def __init__(
        self, *args: Any, modules: Mapping[str, str], sections: Mapping[str, Sequence[str]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules
        self._sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the help."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, None when there is none of that name."""
        if cmd_name not in self._modules:
            return None
        command: click.Command = getattr(importlib.import_module(self._modules[cmd_name]), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; a misspelt name is told the nearest one."""
        name = args[0]
        if name not in self._modules and not name.startswith("-"):
            near = difflib.get_close_matches(name, self._modules, n=1)
            ctx.fail(f"there is no command {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section."""
        for section, names in self._sections.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(section):
                formatter.write_dl([(name, c.get_short_help_str(60)) for name, c in commands if c is not None])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed pipe becomes PipeClosed."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise PipeClosed from error

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run to the end and exit: 0 ok, 1 failed, 2 misuse, 3 out of sync or degraded, 130 Ctrl-C."""
        kwargs["standalone_mode"] = False
        run = super().main
        sys.exit(guard(lambda: run(*args, **kwargs)))
