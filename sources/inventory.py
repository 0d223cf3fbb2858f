"""Looks into a virtual environment without running or importing anything of it: what is installed, which commands
and modules there are. Used for the manifest and to find what an app means to run.
"""

from __future__ import annotations

import os
from importlib.metadata import Distribution
from pathlib import Path

from packaging.utils import canonicalize_name

SOURCE_PTH = "_celeriac_src.pth"


def site_packages(venv: Path) -> Path:
    """The environment's site-packages folder. Raises FileNotFoundError when `venv` is no environment."""
    for folder in sorted((venv / "lib").glob("python*/site-packages")):
        return folder
    raise FileNotFoundError(2, "no site-packages folder", str(venv))


def packages(venv: Path) -> dict[str, str]:
    """Every installed distribution's canonical name and version, read from folder names alone."""
    found: dict[str, str] = {}
    for folder in sorted(site_packages(venv).glob("*.dist-info")):
        name, _, version = folder.name.removesuffix(".dist-info").partition("-")
        found[str(canonicalize_name(name))] = version
    return found


def direct_distribution(venv: Path) -> str:
    """The canonical name of the distribution that was installed from a file or folder, not from an index; or ""."""
    for marker in sorted(site_packages(venv).glob("*.dist-info/direct_url.json")):
        if (marker.parent / "REQUESTED").exists():
            return str(canonicalize_name(marker.parent.name.partition("-")[0]))
    return ""


def console_scripts(venv: Path, distribution: str) -> tuple[str, ...]:
    """The names of the commands that `distribution` installs, sorted."""
    for folder in site_packages(venv).glob("*.dist-info"):
        if canonicalize_name(folder.name.partition("-")[0]) == canonicalize_name(distribution):
            entry_points = Distribution.at(folder).entry_points
            return tuple(sorted(point.name for point in entry_points if point.group == "console_scripts"))
    return ()


def command(venv: Path, name: str) -> Path | None:
    """The path of the program `name` in the environment, if it has one."""
    path = venv / "bin" / name
    return path if name and "/" not in name and path.is_file() and os.access(path, os.X_OK) else None


def runnable_module(folders: list[Path], name: str) -> bool:
    """Whether `python -m name` finds something to run in one of `folders`."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    for folder in folders:
        path = folder.joinpath(*parts)
        if (path / "__main__.py").is_file() or path.with_name(path.name + ".py").is_file():
            return True
    return False
