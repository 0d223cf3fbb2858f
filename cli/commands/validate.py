"""`celeriac validate DIR`: the specs in a folder, checked without Git, Redis or a network."""

from __future__ import annotations

from pathlib import Path

import click

from cli import exits, options, output


@click.command(short_help="Check the specs in a folder.")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--apps-dir", metavar="FOLDER", help="The folder of the apps in DIR; default: the setting, else apps.")
@options.as_json
def validate(folder: Path, apps_dir: str | None, as_json: bool) -> int:
    """Check every spec in a folder, as a sync would: fit for a pre-commit hook or CI."""
    from specs.directory import check_directory

    if apps_dir is None:
        from celeriac.settings import load

        apps_dir = load().apps_dir
    checked = check_directory(folder, apps_dir)
    if as_json:
        output.print_json(
            {
                "valid": not checked.problems,
                "apps": [
                    {"name": name, "path": found.path, "version": found.version, "valid": found.valid}
                    for name, found in sorted(checked.apps.items())
                ],
                "problems": [
                    {
                        "path": problem.path,
                        "line": problem.line,
                        "column": problem.column,
                        "field": problem.field,
                        "message": problem.message,
                    }
                    for problem in checked.problems
                ],
            }
        )
        return exits.FAILED if checked.problems else exits.OK
    for problem in checked.problems:
        click.echo(str(problem))
    apps = _counted(len(checked.apps), "app")
    if checked.problems:
        click.echo(f"{_counted(len(checked.problems), 'problem')} in {apps}", err=True)
        return exits.FAILED
    click.echo(f"{apps}, all valid")
    return exits.OK


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
