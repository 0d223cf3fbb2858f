"""`celeriac schema`: the JSON Schema of a spec, for editors."""

from __future__ import annotations

import click

from cli import exits, output


@click.command(short_help="The JSON Schema of app.yaml, for editors.")
def schema() -> int:
    """The JSON Schema of app.yaml, for editors: completion and checks while you type."""
    from specs.jsonschema import json_schema

    output.print_json(json_schema())
    return exits.OK
