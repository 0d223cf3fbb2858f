"""`celeriac init DIR`: a GitOps repository to start from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from celeriac.errors import MisuseError
from cli import exits
from cli.example import FILES


@click.command(short_help="Write an example repository.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def init(folder: Path) -> int:
    """Write an example repository into a new or empty folder."""
    try:
        _check_empty(folder)
        for path, text in FILES.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MisuseError(f"{error.filename or folder}: cannot be used: {error.strerror}") from error
    for path in FILES:
        click.echo(f"wrote {folder / path}")
    click.echo(f"\nNext:\n  cd {shlex.quote(str(folder))}")
    if not (folder / ".git").exists():
        click.echo("  git init -b main")
    click.echo('  git add . && git commit -m "Two apps to start from"\n  celeriac up --repo "$PWD"')
    return exits.OK


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise MisuseError(f"{folder} is a file", hint="name a folder that is new or empty")
    # A repository that was only just made with `git init` or cloned counts as empty.
    if folder.is_dir() and any(entry.name != ".git" for entry in folder.iterdir()):
        raise MisuseError(f"{folder} is not empty", hint="name a folder that is new or empty")
