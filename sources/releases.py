"""The releases of an app on disk: `<home>/apps/<app>/releases/<id>`. Lists, names and removes them.

Every path is made here, from names that have been checked, so that nothing else joins strings from a spec
into a path. Folders whose names begin with a dot are being built or removed and are no releases.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from celeriac.errors import MisuseError
from celeriac.marks import marked_pids
from sources.manifest import Manifest, read_manifest

BUILD_MARK = "CELERIAC_BUILD"
"""The variable that names the folder of a build to all that builds in it."""

_APP = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class Release:
    """One complete release of an app."""

    id: str
    path: Path
    manifest: Manifest


def releases_dir(home: Path, app: str) -> Path:
    """The folder of all releases of `app`. Raises MisuseError when `app` is not an app's name."""
    if not _APP.fullmatch(app):
        raise MisuseError(f"{app!r} is not an app's name", hint="names match [a-z][a-z0-9_-]{0,62}")
    return home / "apps" / app / "releases"


def release_dir(home: Path, app: str, release: str) -> Path:
    """The folder of one release, whether it exists or not. Raises MisuseError for names that are none."""
    folder = releases_dir(home, app)
    if not _ID.fullmatch(release):
        raise MisuseError(f"{release!r} is not a release's id", hint="ids look like 1.2.0-3f9a1c2b")
    return folder / release


def complete(folder: Path) -> Manifest | None:
    """The manifest of `folder` when it holds a whole release, else None."""
    manifest = read_manifest(folder)
    return manifest if manifest is not None and (folder / "venv" / "pyvenv.cfg").is_file() else None


def releases(home: Path, app: str) -> list[Release]:
    """The complete releases of `app`, newest first."""
    found: list[Release] = []
    for folder in _children(releases_dir(home, app)):
        if not _ID.fullmatch(folder.name) or folder.is_symlink():
            continue
        manifest = complete(folder)
        if manifest is not None:
            found.append(Release(folder.name, folder, manifest))
    return sorted(found, key=lambda release: (release.manifest.built_at, release.id), reverse=True)


def prune_releases(home: Path, app: str, keep: int, protect: Collection[str] = ()) -> list[str]:
    """Remove all but the `keep` newest releases of `app` and those in `protect`; return the removed ids."""
    if keep < 0:
        raise MisuseError("keep must be 0 or more")
    surplus = [release.id for release in releases(home, app)[keep:] if release.id not in protect]
    for release in surplus:
        remove_release(home, app, release)
    return surplus


def remove_release(home: Path, app: str, release: str) -> None:
    """Remove one release; one that is absent is fine. It stops being a release at once, then its files go."""
    folder = release_dir(home, app, release)
    doomed = folder.with_name(f".removing-{release}-{secrets.token_hex(4)}")
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    discard(doomed)


def remove_leftovers(home: Path, app: str) -> None:
    """Remove what killed builds and removals left. Only for the holder of the app's build lock."""
    for folder in _children(releases_dir(home, app)):
        if folder.name.startswith((".building-", ".removing-")):
            end_builders(folder)
            discard(folder)


def end_builders(folder: Path) -> None:
    """End what still builds in `folder`: the death of a task ends uv, but not a build backend that uv has started."""
    for pid in marked_pids([f"{BUILD_MARK}={folder}"]):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def discard(folder: Path) -> None:
    """Delete `folder` and all below it, following no link; absent is fine.

    A build backend that outlived its killed parent may still be writing, so it is tried more than once.
    """
    for last in (False, False, True):
        with contextlib.nullcontext() if last else contextlib.suppress(OSError):
            _open_up(folder)
            shutil.rmtree(folder)
        if not os.path.lexists(folder):
            return


def _open_up(folder: Path) -> None:
    """Make folders writable, each before it is entered: some build backends leave read-only ones."""
    for path, folders, _files in os.walk(folder):
        for name in folders:
            child = Path(path, name)
            mode = child.lstat().st_mode
            if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
                child.chmod(stat.S_IMODE(mode) | 0o700)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
