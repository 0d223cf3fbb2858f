"""The link that all code of a hosted app is imported through, and which files behind it are the app's own.

    <home>/apps/<app>/<side>/run/<process>.code -> <home>/apps/<app>/releases/<id>

Every `__file__` and every entry of `sys.path` goes through the link, so that another release can be put under a running
process in one step: modules that are not reloaded find their templates and their siblings where they always were, and a
release that is pruned later takes nothing away. The link belongs to the process; `current` belongs to Celeriac.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

EXTENSIONS = (".so", ".pyd")


class CodeFolder:
    """The link `path` of this process."""

    def __init__(self, path: Path, release: Path) -> None:
        self.path = path
        self.release = release
        self._first = release

    def adopt(self) -> None:
        """Point to the release that this process was started from, and have the import path go through the link."""
        self.point(self.release)
        sys.path[:] = [self.through(entry) for entry in sys.path]
        for name in ("executable", "prefix", "exec_prefix"):
            setattr(sys, name, self.through(getattr(sys, name)))

    def point(self, release: Path) -> None:
        """Put `release` behind the link. Whoever opens a file through it sees the old one or the new one."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(release, target_is_directory=True)
        temporary.replace(self.path)
        self.release = release

    def through(self, entry: str) -> str:
        """A path below the first release, as a path through the link; another one as it is."""
        first = f"{self._first}{os.sep}"
        return str(self.path / entry[len(first) :]) if entry.startswith(first) else entry

    def relative(self, module: ModuleType) -> str:
        """The file of `module` relative to the release; empty when it has none there, or is not Python source."""
        spec = getattr(module, "__spec__", None)
        origin = getattr(spec, "origin", None) or ""
        for base in (self.path, self._first):
            if origin.startswith(f"{base}{os.sep}") and origin.endswith(".py"):
                return str(origin)[len(str(base)) + 1 :]
        return ""


def site_packages(release: Path) -> Path | None:
    """The site-packages folder of a release; None when it has none."""
    return next(iter(sorted((release / "venv" / "lib").glob("python*/site-packages"))), None)


def own_files(release: Path, distribution: str) -> frozenset[str]:
    """The app's own files, relative to the release: its `src`, and what its distribution installed."""
    found = set(_files_below(release, release / "src"))
    site = site_packages(release)
    if site is not None and distribution:
        found.update(_installed(release, site, distribution))
    return frozenset(found)


def file_hash(path: Path) -> str:
    """The hash of a file's content; empty when there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def canonical(name: str) -> str:
    """The name of a distribution, as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _files_below(release: Path, folder: Path) -> Iterator[str]:
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in files:
            yield str(Path(path, name).relative_to(release))


def metadata(release: Path, distribution: str) -> Path | None:
    """The folder of a distribution's metadata, whose name tells its version; None when it is not installed."""
    site = site_packages(release)
    wanted = canonical(distribution)
    for info in site.glob("*.dist-info") if site is not None and wanted else ():
        if canonical(info.name.partition("-")[0]) == wanted:
            return info
    return None


def _installed(release: Path, site: Path, distribution: str) -> Iterator[str]:
    info = metadata(release, distribution)
    if info is not None:
        with (info / "RECORD").open(newline="", encoding="utf-8") as record:
            for row in csv.reader(record):
                path = row[0] if row else ""
                if path and not path.startswith(("../", "/", f"{info.name}/")) and "__pycache__/" not in path:
                    yield str((site / path).relative_to(release))
