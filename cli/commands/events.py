"""`celeriac events`: what happened, and what happens."""

from __future__ import annotations

import sys

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
    if as_json:
        show = output.print_json_line
    else:
        from cli.screens.records import event_line

        screen = output.console()

        def show(event: object) -> None:
            screen.print(event_line(event), soft_wrap=True)  # type: ignore[arg-type]

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
