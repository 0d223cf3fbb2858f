"""`celeriac plan`: what a sync would do, without doing it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from celeriac.errors import MisuseError
from cli import exits, options, output


@click.command()
@click.option("--revision", metavar="REV", help="Plan for this commit, branch or tag instead of what is in force.")
@click.option(
    "--live",
    "live_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Plan against this exported state (`celeriac status --live`) instead of the machines.",
)
@options.as_json
def plan(revision: str | None, live_file: Path | None, as_json: bool) -> int:
    """What a sync would do, without doing it. Exits with 3 when there is something to do."""
    from tasks import api

    live = None if live_file is None else _read(live_file)
    planned = api.plan(revision=revision, live=live)
    if as_json:
        output.print_json(planned)
    else:
        from cli.screens.plan import plan_screen

        output.show(plan_screen(planned))
    return exits.OK if planned["empty"] and not planned["problems"] else exits.OUT_OF_SYNC


def _read(path: Path) -> dict[str, Any]:
    import msgspec

    content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        return dict(msgspec.json.decode(content, type=dict[str, Any]))
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MisuseError(
            f"{path}: is not an exported state: {error}",
            hint="write one with: celeriac status --live > live.json",
        ) from error
