"""The options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

as_json: _Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON (docs/json.md) and nothing else."
)
follow: _Decorator = click.option("-f", "--follow", is_flag=True, help="Go on as more comes, until Ctrl-C.")
name: _Decorator = click.argument("name", metavar="NAME")
no_wait: _Decorator = click.option("--no-wait", is_flag=True, help="Do not wait for the end.")
