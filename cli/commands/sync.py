"""`celeriac sync`: make the machines agree with Git now."""

from __future__ import annotations

import click

from cli import exits, options, output


@click.command()
@click.option("-w", "--wait", is_flag=True, help="Follow it to its end; the exit code tells how it ended.")
@click.option("--force", is_flag=True, help="At once, whatever a back-off or a sync window says.")
@click.option("--app", metavar="NAME", help="This app alone.")
@click.option("--allow-removals", metavar="REVISION", help="Let this commit remove as many apps as it does.")
@click.option("--plan", metavar="ID", help="Only if the plan is still the one that `celeriac plan` printed.")
@options.as_json
def sync(wait: bool, force: bool, app: str | None, allow_removals: str | None, plan: str | None, as_json: bool) -> int:
    """Make the machines agree with Git, now."""
    from tasks import api

    def request() -> dict[str, object]:
        return dict(api.request_sync(force=force, app=app, allow_removals=allow_removals, plan=plan))

    if wait:
        from cli.follow import carry_out

        record = carry_out(request)
        if as_json:
            output.print_json(record)
        return exits.of_run(record)
    asked = request()
    if as_json:
        output.print_json(asked)
    elif asked["started"]:
        click.echo(f"Sync {asked['run']} is on its way. See it with: celeriac status --watch")
    else:
        click.echo(f"Run {asked['run']} is going on; a sync follows right after it.")
    return exits.OK
