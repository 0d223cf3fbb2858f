"""Virtual environments: uv makes one for our interpreter once, and each release begins with a copy of it.

A relocatable environment is the same wherever it is. To copy one takes a tenth of the time that uv takes to make one.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
from pathlib import Path

from sources.installer import base_python, run_uv, uv_binary, uv_version, venv_argv
from sources.lock import locked
from sources.releases import discard
from sources.workshop import Workshop

# What is of no use on a server costs as much to copy as the rest: scripts of other shells, and uv's own lock.
_USELESS = ("*.bat", "*.ps1", "*.nu", "*.xsh")


def make_venv(workshop: Workshop) -> None:
    """Make `workshop.venv`. Raises BuildFailed."""
    blank = workshop.home / "cache" / "venv" / _name()
    if not _complete(blank):
        _make(blank, workshop)
    shutil.copytree(blank, workshop.venv, symlinks=True)


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
        discard(part)
        run_uv(workshop, venv_argv(uv_binary(), part), what="the virtual environment", package="")
        for path in (part / ".lock", *(path for kind in _USELESS for path in (part / "bin").glob(kind))):
            path.unlink(missing_ok=True)
        discard(blank)
        part.rename(blank)
