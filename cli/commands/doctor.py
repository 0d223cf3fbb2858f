"""`celeriac doctor`: what this machine lacks, and what to do about it."""

from __future__ import annotations

import os

import click

from cli import exits, options, output


@click.command(short_help="What this machine lacks, and what to do about it.")
@options.as_json
def doctor(as_json: bool) -> int:
    """Check this machine and what runs on it; every line that is not ok says what to do."""
    from cli.checkup import checkup

    checks = []
    marks = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}
    plain = bool(os.environ.get("NO_COLOR"))
    for check in checkup():
        checks.append(check)
        if as_json:
            continue
        mark, colour = marks[check.result]
        click.echo(f"{mark if plain else click.style(mark, fg=colour)}  {check.name}: {check.detail}")
        if check.advice:
            click.echo(f"        {check.advice}")
    failed = sum(check.result == "fail" for check in checks)
    if as_json:
        output.print_json({"ok": not failed, "checks": checks})
    elif failed:
        click.echo(f"{failed} of {len(checks)} checks failed", err=True)
    return exits.FAILED if failed else exits.OK
