"""`celeriac config`: the settings in force, and where each came from."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from cli import exits, options, output


@click.command()
@options.as_json
def config(as_json: bool) -> int:
    """The settings in force, and where each came from. Passwords are left out."""
    from celeriac.settings import Settings, load, variable

    settings = load()
    rows = [
        {
            "setting": field.name,
            "variable": variable(field.name),
            "value": _shown(field.name, getattr(settings, field.name)),
            "source": settings.sources[field.name],
        }
        for field in dataclasses.fields(Settings)
        if field.name != "sources"
    ]
    if as_json:
        output.print_json(rows)
        return exits.OK
    from rich.text import Text

    from cli.screens.style import fluid, plain, table

    screen = table("SETTING", "VALUE", "FROM", flexible="VALUE")
    for row in rows:
        source = str(row["source"])
        screen.add_row(
            plain(row["variable"]),
            fluid(_text(str(row["setting"]), row["value"])),
            Text(source, style="dim" if source == "default" else ""),
        )
    output.show(screen)
    return exits.OK


def _shown(name: str, value: Any) -> Any:
    from celeriac.settings import without_password

    if name in {"repo_url", "redis_url", "sentry_dsn"}:
        return without_password(value)
    if name == "home":
        return str(value)
    return dict(value) if name == "labels" else value


def _text(name: str, value: Any) -> str:
    from celeriac.units import format_duration

    if name in {"interval", "removal_grace", "lease", "sweep_interval", "observe_interval"}:
        return format_duration(value)
    if name == "sync_windows":
        return "; ".join(map(str, value)) or "none"
    if name == "labels":
        return ",".join(f"{key}={item}" for key, item in value.items()) or "none"
    if name == "redis_url":
        return value or "a Redis of Celeriac's own"
    if name == "max_removals" and value is None:
        return "3, and 30 % of the apps"
    return str(value) or "none"
