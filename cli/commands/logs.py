"""`celeriac logs NAME`: what an app prints."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from cli import exits, options, output
from cli.text import printable, printable_log


@click.command()
@options.name
@options.follow
@click.option("-n", "--lines", type=click.IntRange(0), default=100, show_default=True, help="Start so many lines back.")
@click.option("-p", "--process", metavar="PROCESS", help="This process of the app alone.")
@options.as_json
def logs(name: str, follow: bool, lines: int, process: str | None, as_json: bool) -> int:
    """What an app prints."""
    from tasks import api

    if follow:
        # One line of each process that has printed: an app of several is labelled from the first line on.
        processes = {entry["process"] for entry in api.logs(name, lines=1, process=process)}
        for entry in api.follow_logs(name, process=process, lines=lines):
            processes.add(entry["process"])
            _print(entry, as_json, len(processes) > 1)
            sys.stdout.flush()
    last = api.logs(name, lines=lines, process=process)
    if as_json:
        output.print_json(last)
        return exits.OK
    several = len({entry["process"] for entry in last}) > 1
    for entry in last:
        _print(entry, as_json, several)
    if not last and lines:
        click.echo(f"{name} has printed nothing yet.", err=True)
    return exits.OK


def _print(entry: Mapping[str, Any], as_json: bool, several: bool) -> None:
    if as_json:
        output.print_json_line(entry)
        return
    label = f"{printable(entry['process'])} | " if several else ""
    click.echo(label + printable_log(entry["line"]))
