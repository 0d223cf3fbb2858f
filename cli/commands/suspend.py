"""`celeriac suspend` and `resume`: leave an app, or all of them, exactly as they are for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from celeriac.errors import MisuseError
from celeriac.units import parse_duration
from cli import exits
from cli.text import clock


@click.command(short_help="Leave an app, or everything, exactly as it is.")
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--until", metavar="TIME", help="Until then, by itself: 30m, 2h, or 2026-03-01T18:00 (UTC unless it says)."
)
@click.option("--reason", default="", metavar="TEXT", help="Shown to everyone who wonders.")
def suspend(name: str | None, until: str | None, reason: str) -> int:
    """Leave an app (without NAME: everything) exactly as it is until it is resumed."""
    from tasks import api

    end = None if until is None else parse_until(until, datetime.now(UTC))
    api.suspend(name, until=None if end is None else end.timestamp(), reason=reason)
    whose = name or "Everything"
    how_long = f"until {clock(end)}" if end else f"until: celeriac resume{f' {name}' if name else ''}"
    click.echo(f"{whose} is left as it is {how_long}")
    return exits.OK


@click.command(short_help="Take an app, or everything, up again.")
@click.argument("name", metavar="[NAME]", required=False)
def resume(name: str | None) -> int:
    """Take an app (without NAME: everything) up again."""
    from tasks import api

    api.resume(name)
    click.echo(f"{name or 'Everything'} follows Git again.")
    return exits.OK


def parse_until(text: str, now: datetime) -> datetime:
    """The time that `text` means: a duration from `now`, or a date and time. Raises MisuseError."""
    try:
        seconds = parse_duration(text) if not text.strip().isdigit() else None
    except ValueError:
        seconds = None
    try:
        end = datetime.fromisoformat(text) if seconds is None else now + timedelta(seconds=seconds)
    except ValueError:
        raise MisuseError(
            f"--until: {text!r} is neither a duration nor a time", hint="write 30m, 2h, or 2026-03-01T18:00"
        ) from None
    end = end if end.tzinfo else end.replace(tzinfo=UTC)
    if end <= now:
        raise MisuseError(f"--until: {text} is over already")
    return end
