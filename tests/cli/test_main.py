"""The entry point: the help, how a command line ends, and what a reading command may import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import SECTIONS, celeriac

ROOT = Path(__file__).parents[2]
COMMANDS = [name for names in SECTIONS.values() for name in names]


def run(*arguments: str, home: Path, code: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CELERIAC_", "REDIS_", "SENTRY_"))}
    command = ["-c", code] if code else ["-m", "cli.main", *arguments]
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**clean, "CELERIAC_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_command_in_its_section() -> None:
    result = CliRunner().invoke(celeriac, ["--help"])
    assert result.exit_code == 0
    for section, names in SECTIONS.items():
        assert f"{section}:" in result.output
        for name in names:
            assert f"\n  {name} " in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name: str) -> None:
    result = CliRunner().invoke(celeriac, [name, "--help"])
    assert result.exit_code == 0
    assert f"Usage: celeriac {name}" in result.output


def test_misspelt_command_is_told_the_nearest_one_and_ends_with_2() -> None:
    result = CliRunner().invoke(celeriac, ["statsu"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "error: there is no command 'statsu'. Did you mean 'status'?\n  try: celeriac --help" in result.stderr


def test_misspelt_option_ends_with_2_and_says_where_help_is() -> None:
    result = CliRunner().invoke(celeriac, ["config", "--jsn"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: no such option")
    assert "try: celeriac config --help" in result.stderr


def test_no_command_at_all_shows_the_help_and_ends_with_2() -> None:
    result = CliRunner().invoke(celeriac, [])
    assert result.exit_code == 2
    assert "Usage: celeriac" in result.output


def test_version_is_printed() -> None:
    result = CliRunner().invoke(celeriac, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("celeriac, version ")


def test_bad_setting_ends_with_2_and_names_the_variable(tmp_path: Path) -> None:
    result = run("config", home=tmp_path, CELERIAC_INTERVAL="soon")
    assert result.returncode == 2
    assert result.stderr.startswith("error: CELERIAC_INTERVAL:")
    assert "Traceback" not in result.stderr


def test_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "read, write = os.pipe(); os.close(read); os.dup2(write, 1)\n"
        "sys.argv = ['celeriac', 'schema']\n"
        "from cli.main import main; main()\n"
    )
    result = run(home=tmp_path, code=code)
    assert result.returncode == 141
    assert result.stderr == ""


def test_closed_pipe_ends_quietly_below_a_screen_too(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "read, write = os.pipe(); os.close(read); os.dup2(write, 1)\n"
        "sys.argv = ['celeriac', 'config']\n"
        "from cli.main import main; main()\n"
    )
    result = run(home=tmp_path, code=code)
    assert result.returncode == 141
    assert result.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_naming_a_command_imports_neither_celery_nor_git_nor_redis_nor_rich(name: str, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from cli.main import celeriac\n"
        f"result = CliRunner().invoke(celeriac, [{name!r}, '--help'])\n"
        "assert result.exit_code == 0, result.output\n"
        "print(sorted({'celery', 'kombu', 'git', 'redis', 'rich', 'tasks'} & sys.modules.keys()))\n"
    )
    result = run(home=tmp_path, code=code)
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize("name", ["Ünder → there", "odd\udcff"])
def test_no_character_is_a_reason_to_fail_where_the_terminal_has_none_for_it(name: str, tmp_path: Path) -> None:
    for encoding in ("ascii:strict", "utf-8:strict"):
        folder = tmp_path / encoding / name
        folder.parent.mkdir()
        result = run("init", str(folder), home=tmp_path, PYTHONIOENCODING=encoding)
        assert (result.returncode, result.stderr) == (0, "")
        assert "README.md" in result.stdout
