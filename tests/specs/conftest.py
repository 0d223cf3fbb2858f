"""Real Git repositories for the tests of this folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mirrors import FIRST

from specs.repository import Mirror


class Upstream:
    """A work tree with commits, as a user pushes them."""

    def __init__(self, folder: Path, *init: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", *init)

    def git(self, *arguments: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, input=stdin, check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str | None], message: str = "change") -> str:
        """Commit `files` (None removes one) and return the revision."""
        for name, text in files.items():
            path = self.folder / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def git_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A git that knows a user's name, and nothing of the machine that the test runs on."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n name = Ada\n email = ada@example.org\n[gc]\n auto = 0\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def upstream(git_user: None, tmp_path: Path) -> Upstream:
    """A repository without commits."""
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def mirror(upstream, home: Path) -> Mirror:
    upstream.commit(FIRST, "first")
    return Mirror(str(upstream.folder), "main", home)


@pytest.fixture
def git_calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """The git commands run since it was asked last, seen by a `git` that stands before the real one on PATH."""
    log = tmp_path / "calls"
    log.touch()
    folder = tmp_path / "bin"
    folder.mkdir()
    wrapper = folder / "git"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{log}"\nexec "{shutil.which("git")}" "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def calls() -> list[str]:
        lines = log.read_text().splitlines()
        log.write_text("")
        return lines

    return calls
