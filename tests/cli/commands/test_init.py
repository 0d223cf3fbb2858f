"""`celeriac init`: where it may write, and that what it says to do next can be done."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.example import FILES
from cli.main import celeriac
from specs.directory import check_directory


@pytest.mark.parametrize("name", ["plain", "my apps", "it's $HOME; `x`", "Ünder"])
def test_what_it_says_to_do_next_works_in_a_shell_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(celeriac, ["init", str(tmp_path / name)])
    assert result.exit_code == 0
    steps = [line.strip() for line in result.stdout.partition("Next:\n")[2].splitlines()]
    assert steps[-1].startswith("celeriac up --repo ")
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    script = "\n".join(["set -e", *steps[:-1], 'git ls-files -z | tr "\\0" "\\n"'])
    environ = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-len(FILES) :] == sorted(FILES)


def test_every_file_is_named_and_is_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(celeriac, ["init", str(tmp_path / "new")])
    for path, text in FILES.items():
        assert f"wrote {tmp_path / 'new' / path}\n" in result.stdout
        assert (tmp_path / "new" / path).read_text() == text


def test_the_example_is_valid_and_in_order_of_its_dependencies(tmp_path: Path) -> None:
    CliRunner().invoke(celeriac, ["init", str(tmp_path)])
    checked = check_directory(tmp_path)
    assert (checked.problems, sorted(checked.apps)) == ((), ["greeter", "hello"])
    assert checked.apps["greeter"].depends_on == ("hello",)


@pytest.mark.parametrize("folder", ["a" * 300, "file/below", "file"])
def test_a_folder_that_cannot_be_is_misuse_in_one_line(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("mine")
    result = CliRunner().invoke(celeriac, ["init", str(tmp_path / folder)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {tmp_path}")
    assert "unexpected" not in result.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_with_a_hidden_file_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TOKEN=x")
    result = CliRunner().invoke(celeriac, ["init", str(tmp_path)])
    assert result.exit_code == 2
    assert shlex.quote(str(tmp_path)) in result.stderr
