"""`celeriac down`: stop Celeriac on this machine."""

from __future__ import annotations

import click

from cli import exits


@click.command(short_help="Stop Celeriac on this machine.")
@click.option("--apps", is_flag=True, help="Stop the managed apps too. Without it they go on.")
def down(apps: bool) -> int:
    """Stop Celeriac on this machine; the apps go on unless --apps is given."""
    from celeriac.settings import load
    from tasks import services

    ran = services.stop(load(), apps=apps)
    if apps:
        click.echo("Celeriac and the apps are stopped." if ran else "Celeriac was not running; the apps are stopped.")
    else:
        click.echo("Celeriac is stopped. The apps go on." if ran else "Celeriac is not running.")
    return exits.OK
