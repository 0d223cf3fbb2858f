"""Virtual environments: uv makes one for our interpreter once, and each release begins with a copy of it.

A relocatable environment is the same wherever it is. To copy one takes a tenth of the time that uv takes to make one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from pathlib import Path

from sources.installer import base_python, run_uv, uv_binary, uv_version, venv_argv
from sources.lock import locked
from sources.releases import discard
from sources.workshop import Workshop


def make_venv(workshop: Workshop) -> None:
    """Make `workshop.venv`. Raises BuildFailed."""
    blank = workshop.home / "cache" / "venv" / _name()
    if not _complete(blank):
        _make(blank, workshop)
    shutil.copytree(blank, workshop.venv, symlinks=True, copy_function=_share)


def _share(source: str, target: str) -> str:
    """Copy a file of an environment; what nothing runs and nobody sets anything in, such as `activate`, is shared."""
    if source.endswith((".py", ".cfg", ".pth")):
        return shutil.copy2(source, target)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        return shutil.copy2(source, target)
    return target


def _name() -> str:
    interpreter = hashlib.sha256(base_python().encode()).hexdigest()[:8]
    return f"{platform.python_version()}-{interpreter}-uv-{uv_version()}"


def _complete(venv: Path) -> bool:
    return (venv / "pyvenv.cfg").is_file() and (venv / "bin" / "python").exists()


def _make(blank: Path, workshop: Workshop) -> None:
    """Have uv make `blank`. Killed at any line, there is none, or a part that the next one removes."""
    blank.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = workshop.home / "locks" / "venv.lock"
    with locked(lock, deadline=workshop.deadline, cancelled=workshop.cancelled):
        if _complete(blank):  # another builder made it while we waited
            return
        part = blank.with_name(".part")
        for old in (part, *blank.parent.iterdir()):  # those of earlier interpreters, too
            discard(old)
        run_uv(workshop, venv_argv(uv_binary(), part), what="the virtual environment", package="")
        (part / ".lock").unlink(missing_ok=True)  # shared, it would have all installations wait for each other
        part.rename(blank)
