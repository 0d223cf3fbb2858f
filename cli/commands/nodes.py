"""`celeriac nodes`: the machines that take part."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli import exits, options, output


@click.command()
@options.as_json
def nodes(as_json: bool) -> int:
    """The machines that take part. Exits with 3 when one is down."""
    from tasks import api

    known = api.nodes()
    if as_json:
        output.print_json(known)
    else:
        from cli.screens.records import nodes_screen

        output.show(nodes_screen(known, datetime.now(UTC)))
    return exits.OK if all(node["alive"] for node in known) else exits.OUT_OF_SYNC
