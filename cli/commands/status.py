"""`celeriac status`: how everything stands, once or live."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from cli import exits, options, output


@click.command()
@options.as_json
@click.option("--live", is_flag=True, help="What was observed to run, as JSON: for `celeriac plan --live FILE`.")
@click.option("-w", "--watch", is_flag=True, help="Go on, redrawn as things change, until Ctrl-C.")
def status(as_json: bool, live: bool, watch: bool) -> int:
    """How everything stands. Exits with 3 unless all that should run runs as Git says."""
    from tasks import api

    if live:
        output.print_json(api.current_state())
        return exits.OK
    if watch and as_json:
        while True:
            output.print_json_line(api.status())
            time.sleep(1)
    if watch:
        from cli.watch import watch_status

        watch_status()
    now = api.status()
    if as_json:
        output.print_json(now)
    else:
        from cli.screens.status import overview

        output.show(overview(now, datetime.now(UTC), trouble=api.trouble() if now["status"] == "error" else ""))
    return exits.of_status(now)
