"""`celeriac app NAME`: everything known of one app."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli import exits, options, output


@click.command()
@options.name
@options.as_json
def app(name: str, as_json: bool) -> int:
    """Everything known of one app."""
    from tasks import api

    state = api.app_status(name)
    if as_json:
        output.print_json(state)
    else:
        from cli.screens.app import app_screen

        output.show(app_screen(name, state, datetime.now(UTC)))
    return exits.OK if state["sync"] in {"synced", "suspended"} else exits.OUT_OF_SYNC
