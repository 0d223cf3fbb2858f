"""`celeriac why NAME`: why an app is as it is, and what to do."""

from __future__ import annotations

import click

from cli import exits, options, output


@click.command()
@options.name
@options.as_json
def why(name: str, as_json: bool) -> int:
    """Why an app is as it is, and what to do about it."""
    from tasks import api

    answer = api.why(name)
    if as_json:
        output.print_json(answer)
    else:
        from cli.screens.app import why_screen

        output.show(why_screen(answer))
    return exits.OK if answer["sync"] in {"synced", "suspended"} else exits.OUT_OF_SYNC
