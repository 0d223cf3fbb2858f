"""The entry point: every command by name, and the section of the help that it is listed in.

A command's module is imported when the command is used (`cli.group`), so `celeriac status` pays for
nothing that only `celeriac doctor` needs.
"""

from __future__ import annotations

import gc
import io
import sys

import click

import celeriac as package
from cli.group import LazyGroup

SECTIONS: dict[str, tuple[str, ...]] = {
    "Run": ("up", "down", "doctor", "config"),
    "Look": ("status", "app", "why", "plan", "logs", "events", "history", "nodes"),
    "Change": ("sync", "rollback", "restart", "remove", "suspend", "resume"),
    "Write specs": ("init", "validate", "schema"),
}

_SHARED_MODULES = {"rollback": "change", "restart": "change", "remove": "change", "resume": "suspend"}


@click.group(
    cls=LazyGroup,
    name="celeriac",
    modules={name: f"cli.commands.{_SHARED_MODULES.get(name, name)}" for names in SECTIONS.values() for name in names},
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package.__version__, prog_name="celeriac")
def celeriac() -> None:
    """GitOps for Python services on plain machines.

    A Git repository says what should run; Celeriac makes the machines agree with it.
    """


def main() -> None:
    """Run the command line of this process and exit with its code."""
    gc.set_threshold(50_000, 20, 50)  # most commands have ended before there is anything worth collecting
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # no name, and no arrow of ours, is a reason to fail
    celeriac(prog_name="celeriac")


if __name__ == "__main__":
    main()
