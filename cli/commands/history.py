"""`celeriac history NAME`: the changes of one app."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli import exits, options, output


@click.command()
@options.name
@options.as_json
def history(name: str, as_json: bool) -> int:
    """The changes of one app, newest first."""
    from tasks import api

    changes = api.history(name)
    if as_json:
        output.print_json(changes)
    else:
        from cli.screens.records import history_screen

        output.show(history_screen(name, changes, datetime.now(UTC)))
    return exits.OK
