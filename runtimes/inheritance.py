"""What an app hands over to the one that it is renamed to: releases, the working folder, and a note of who that is.

Files only, no processes: `runtimes.adoption` says when. Every function may be repeated, and killed at any line leaves
something that it, called again, or its counterpart can go on from.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from runtimes.applied import Phase
from runtimes.files import write_atomic

_NOTE = "heir.json"


class Heir(msgspec.Struct, frozen=True):
    """Kept in the folder of the old app while its place is taken over by the app `name`.

    `phase` is the phase that the old app was in, `data` whether it had a working folder.
    """

    name: str
    phase: Phase
    data: bool


_decoder = msgspec.json.Decoder(Heir)


def read_heir(old: Path) -> Heir | None:
    """Who is taking over from the app of folder `old`; None when nobody is."""
    try:
        return _decoder.decode((old / _NOTE).read_bytes())
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def put_heir(old: Path, heir: Heir) -> None:
    """Note who takes over from the app of folder `old`."""
    write_atomic(old / _NOTE, msgspec.json.encode(heir))


def drop_heir(old: Path) -> None:
    """Say that nobody is taking over from the app of folder `old`."""
    (old / _NOTE).unlink(missing_ok=True)


def link_releases(old: Path, new: Path, ids: Iterable[str]) -> None:
    """Have the releases `ids` of the app in folder `old` in `new` too, so that they need not be built again.

    Their files are shared, not moved: the old app runs from them still, and may have to run from them again. A
    release is complete or absent. One that `old` does not have is left out.
    """
    for name in sorted(set(ids)):
        source, target = old / "releases" / name, new / "releases" / name
        if target.exists() or source.is_symlink() or not source.is_dir():
            continue
        part = target.with_name(f".linking-{name}")
        shutil.rmtree(part, ignore_errors=True)  # of one that was killed here before
        shutil.copytree(source, part, symlinks=True, copy_function=_link)
        _tell_name(part / "release.json", new.name)
        part.rename(target)


def in_the_way(old: Path, new: Path) -> Path | None:
    """What keeps `move_data` from setting the present data of `new` aside; None when nothing does."""
    aside = _aside(old, new)
    return aside if os.path.lexists(old / "data") and _holds_data(new) and os.path.lexists(aside) else None


def move_data(old: Path, new: Path) -> None:
    """Make the working folder of `old` the one of `new`. What `new` had before is kept beside it, under another name.

    Nothing of either app runs. When `old` has none (any more), nothing is done.
    """
    if not os.path.lexists(old / "data"):
        return
    new.mkdir(parents=True, exist_ok=True)
    if _holds_data(new):
        (new / "data").rename(_aside(old, new))
    elif os.path.lexists(new / "data"):
        (new / "data").rmdir()
    (old / "data").rename(new / "data")


def give_back_data(old: Path, new: Path, heir: Heir) -> None:
    """Undo `move_data`, as far as it got."""
    if not heir.data:
        return
    if not os.path.lexists(old / "data") and os.path.lexists(new / "data"):
        (new / "data").rename(old / "data")
    aside = _aside(old, new)
    if os.path.lexists(aside) and not os.path.lexists(new / "data"):
        aside.rename(new / "data")


def _aside(old: Path, new: Path) -> Path:
    return new / f"data.before-{old.name}"


def _holds_data(folder: Path) -> bool:
    """Whether the app of `folder` has a working folder with anything in it."""
    data = folder / "data"
    return os.path.lexists(data) and (data.is_symlink() or not data.is_dir() or any(data.iterdir()))


def _link(source: str, target: str) -> None:
    """Share one file; copy it where the file system cannot share."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
        shutil.copy2(source, target)


def _tell_name(manifest: Path, app: str) -> None:
    """Put the new name into the release's own manifest, where there is one. The old release keeps its own."""
    try:
        content: dict[str, Any] = msgspec.json.decode(manifest.read_bytes(), type=dict[str, Any])
    except (FileNotFoundError, msgspec.DecodeError):
        return
    write_atomic(manifest, msgspec.json.format(msgspec.json.encode({**content, "app": app}), indent=2), mode=0o644)
