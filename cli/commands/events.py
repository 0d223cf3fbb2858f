"""`celeriac events`: what happened, and what happens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from cli import exits, options, output


@click.command()
@options.follow
@click.option("--app", metavar="NAME", help="Those of this app alone.")
@click.option("-n", "--count", type=click.IntRange(1), default=50, show_default=True, help="The last so many.")
@options.as_json
def events(follow: bool, app: str | None, count: int, as_json: bool) -> int:
    """What happened, oldest first; with -f, what happens."""
    from tasks import api

    last = api.events(count=count, app=app)
    if as_json and not follow:
        output.print_json(last)
        return exits.OK
    show = output.print_json_line if as_json else _printer()
    for event in last:
        show(event)
    if not follow:
        if not last:
            click.echo("Nothing has happened yet.", err=True)
        return exits.OK
    sys.stdout.flush()
    for event in api.follow_events():
        if app is None or event.get("app") == app:
            show(event)
            sys.stdout.flush()
    return exits.OK


def _printer() -> Callable[[Mapping[str, Any]], None]:
    from cli.screens.records import event_line

    screen = output.console()
    return lambda event: screen.print(event_line(event), soft_wrap=True)
