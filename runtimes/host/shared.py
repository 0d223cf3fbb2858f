"""The distributions that guests share: each once in the process, so each in one version.

They are put together in one folder, the only one of packages on the import path of the shared host:

    <home>/guests/site-packages     files of the releases' own site-packages, linked there or copied

It is filled by the guests that come. What a guest that left brought is taken away when another one comes with another
version of it: its modules are forgotten, which Python can do with source, but not with C extensions.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import importlib
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .codefolder import EXTENSIONS, canonical, site_packages
from .failure import Refused


@dataclass(frozen=True)
class Distribution:
    """One installed distribution. `content` is the hash of what it installed: a version may be built twice."""

    version: str
    content: str
    info: Path = field(default=Path(), compare=False)


def dependencies(release: Path, distribution: str) -> dict[str, Distribution]:
    """What is installed in `release` beside the app's own distribution, by canonical name."""
    found = {}
    site = site_packages(release)
    for info in sorted(site.glob("*.dist-info")) if site is not None else ():
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        if canonical(name) != canonical(distribution):
            found[canonical(name)] = Distribution(version, _content(info), info)
    return found


def conflict(
    app: str, wanted: Mapping[str, Distribution], others: Mapping[str, Mapping[str, Distribution]]
) -> tuple[str, str]:
    """Why `app` cannot share a process with `others`, and which of them that is; empty when it can. Pure."""
    for other in sorted(others):
        for name in sorted(wanted.keys() & others[other].keys()):
            mine, its = wanted[name], others[other][name]
            if mine.version != its.version:
                return f"{app} needs {name} {mine.version}, and its neighbour {other} runs with {its.version}", other
            if mine != its:
                return f"{app} and its neighbour {other} need different builds of {name} {mine.version}", other
    return "", ""


class SharedFolder:
    """The folder at `path`, made anew with the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users: dict[object, tuple[str, dict[str, Distribution]]] = {}
        self._there: dict[str, Distribution] = {}
        self._lock = threading.Lock()
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700, parents=True)

    def join(self, guest: object, app: str, wanted: Mapping[str, Distribution]) -> None:
        """Have all of `wanted` in it, for as long as `guest` is here. Raises Refused, and then nothing has changed."""
        with self._lock:
            others = {f"{name}, an earlier release" if name == app else name: had for name, had in self._users.values()}
            why, _ = conflict(app, wanted, others)
            if why:
                raise Refused("DependencyConflict", f"{why}: guests share one process")
            stale = [name for name, one in wanted.items() if name in self._there and self._there[name] != one]
            for name in stale:
                self._refuse_loaded_extensions(name)
            for name in stale:
                self._take_away(name)
            for name, one in wanted.items():
                if name not in self._there:
                    self._add(one)
                    self._there[name] = Distribution(one.version, one.content, self.path / one.info.name)
            self._users[guest] = (app, dict(wanted))
            importlib.invalidate_caches()

    def leave(self, guest: object) -> None:
        """`guest` is gone."""
        with self._lock:
            self._users.pop(guest, None)

    def _add(self, one: Distribution) -> None:
        for file in _files(one.info):
            source, target = one.info.parent / file, self.path / file
            if target.exists() or not source.is_file():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(os.path.realpath(source), target)
            except OSError:  # another file system, or one without links
                shutil.copy2(source, target)

    def _refuse_loaded_extensions(self, name: str) -> None:
        files = {str(self.path / file) for file in _files(self._there[name].info) if file.endswith(EXTENSIONS)}
        if any(getattr(module, "__file__", None) in files for module in list(sys.modules.values())):
            raise Refused("ExtensionLoaded", f"a C extension of {name} {self._there[name].version} is in memory")

    def _take_away(self, name: str) -> None:
        one = self._there.pop(name)
        files = {str(self.path / file) for file in _files(one.info)}
        for module_name, module in list(sys.modules.items()):
            if getattr(module, "__file__", None) in files:
                sys.modules.pop(module_name, None)
        for file in files:
            with contextlib.suppress(OSError):
                Path(file).unlink()
        shutil.rmtree(one.info, ignore_errors=True)
        for folder in {str(Path(file).parent) for file in files}:
            shutil.rmtree(Path(folder) / "__pycache__", ignore_errors=True)


def _files(info: Path) -> list[str]:
    """What a distribution installed into site-packages."""
    try:
        with (info / "RECORD").open(newline="", encoding="utf-8") as record:
            rows = [row[0] for row in csv.reader(record) if row]
    except OSError:
        return []
    return [file for file in rows if not file.startswith(("../", "/")) and "__pycache__/" not in file]


def _content(info: Path) -> str:
    try:
        lines = (info / "RECORD").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    kept = sorted(line for line in lines if not line.startswith(("../", info.name)) and "__pycache__/" not in line)
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()
