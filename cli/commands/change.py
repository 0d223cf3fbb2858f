"""`celeriac rollback`, `restart` and `remove`: one app, changed by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from cli import exits, options, output


@click.command(short_help="Go back to an earlier release.")
@options.name
@click.option(
    "--to", metavar="VERSION", help="This version, or what its digest begins with; default: the release before."
)
@options.no_wait
@options.as_json
def rollback(name: str, to: str | None, no_wait: bool, as_json: bool) -> int:
    """Go back to an earlier release, and stay there until the spec changes.

    Releases that are kept come back as they were: nothing is fetched or built, and no hook is run. `celeriac history
    NAME` has what there was, with --json its digests, which tell apart what has the same version.
    """
    from tasks import api

    return _carry_out(lambda: api.rollback(name, to=to), no_wait, as_json)


@click.command()
@options.name
@options.no_wait
@options.as_json
def restart(name: str, no_wait: bool, as_json: bool) -> int:
    """Stop an app and start it again, as it is."""
    from tasks import api

    return _carry_out(lambda: api.restart(name), no_wait, as_json)


@click.command()
@options.name
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@options.no_wait
@options.as_json
def remove(name: str, yes: bool, no_wait: bool, as_json: bool) -> int:
    """Stop an app and take it off its nodes. While it is in Git, the next sync brings it back."""
    from tasks import api

    if not yes and sys.stdin.isatty():
        click.confirm(f"Stop {name} and take it off its nodes?", abort=True, err=True)
    return _carry_out(lambda: api.remove(name), no_wait, as_json)


def _carry_out(request: Callable[[], Mapping[str, Any]], no_wait: bool, as_json: bool) -> int:
    if no_wait:
        asked = request()
        if as_json:
            output.print_json(asked)
        else:
            click.echo(f"Run {asked['run']} is on its way. See it with: celeriac status --watch")
        return exits.OK
    from cli.follow import carry_out

    record = carry_out(request)
    if as_json:
        output.print_json(record)
    failed = any(step["state"] == "failed" for step in record.get("steps", ()))
    return exits.FAILED if failed else exits.of_run(record)
