"""Places where an installation's work can be made to wait, so that a test can break something right there.

Two doors lead to them: a `git` of the test's own on the PATH, which waits before it becomes the real one, and a
runtime that a user could have written, which waits in the middle of a deploy. Both know a gate by its name alone:
a file in one folder. It is closed while `NAME.closed` is there, and `NAME.reached` appears once somebody waits.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from waiting import wait_for

from runtimes.noop import NoopRuntime
from specs.appstate import AppState
from specs.model import AppSpec

FOLDER = "GATES"

GIT = """#!/bin/sh
for word in "$@"; do
    while [ -e "$GATES/$word.closed" ]; do : > "$GATES/$word.reached"; sleep 0.05; done
done
exec {git} "$@"
"""


class Gates:
    """The gates of one test. A word of git's arguments is the name of one, and so is `APP.build` or `APP.health`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        programs = folder / "bin"
        programs.mkdir(parents=True)
        git = programs / "git"
        git.write_text(GIT.replace("{git}", str(shutil.which("git"))))
        git.chmod(0o755)
        self.settings = {
            FOLDER: str(folder),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parent),
            "runtime": "gates:GatedRuntime",
        }

    def close(self, name: str) -> None:
        """Let whoever comes there wait."""
        (self._folder / f"{name}.reached").unlink(missing_ok=True)
        (self._folder / f"{name}.closed").touch()

    def open(self, name: str) -> None:
        """Let go on who waits there."""
        (self._folder / f"{name}.closed").unlink()

    def wait_until_reached(self, name: str) -> None:
        """Wait until somebody waits there."""
        wait_for((self._folder / f"{name}.reached").exists)


class GatedRuntime(NoopRuntime):
    """The noop runtime, waiting before it has changed anything (`APP.build`) and after (`APP.health`)."""

    def deploy(self, spec: AppSpec) -> AppState:
        """Say that `spec` runs."""
        self._wait("building", f"{spec.name}.build")
        state = super().deploy(spec)
        self._wait("probing", f"{spec.name}.health")
        return state

    def upgrade(self, spec: AppSpec, old_version: str) -> AppState:
        """Say that `spec` runs instead of what ran before."""
        self._wait("building", f"{spec.name}.build")
        state = super().upgrade(spec, old_version)
        self._wait("probing", f"{spec.name}.health")
        return state

    def _wait(self, phase: str, name: str) -> None:
        self.context.report(phase)
        folder = Path(os.environ[FOLDER])
        while (folder / f"{name}.closed").exists():
            (folder / f"{name}.reached").touch()
            time.sleep(0.05)
