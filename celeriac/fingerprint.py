"""What the code in a release looked like when it was complete: so that what was changed or deleted since can be told.

`write` when a release is built (`sources.build`), `changed` by whoever watches over it (`runtimes.integrity`). Sizes
and times only, so that looking costs a few milliseconds; what Python and the app add themselves does not count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

NAME = "files.json"

_FOLDERS = ("venv", "src")
_CODE = (".py", ".so", ".pth")  # data files are left out: some apps write into theirs

_decoder = msgspec.json.Decoder(dict[str, tuple[int, int]])


def write(release: Path) -> None:
    """Note down the files of code below the folder `release`."""
    (release / NAME).write_bytes(msgspec.json.encode(dict(_files(release))))


def read(release: Path) -> dict[str, tuple[int, int]]:
    """The files that `write` found: path → size and time of the last change. Empty when nothing was noted down."""
    try:
        return _decoder.decode((release / NAME).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return {}


def stamp(release: Path) -> str:
    """Tells one build of a release from another at the same place; empty when nothing was noted down."""
    try:
        found = (release / NAME).stat()
    except OSError:
        return ""
    return f"{found.st_ino}:{found.st_mtime_ns}"


def changed(release: Path, most: int = 3) -> list[str]:
    """The files, at most `most` of them, that are gone or not as they were."""
    found = []
    for path, was in read(release).items():
        try:
            now = os.lstat(f"{release}/{path}")
            same = (now.st_size, now.st_mtime_ns) == was
        except OSError:
            same = False
        if not same:
            found.append(path)
            if len(found) >= most:
                break
    return found


def _files(release: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for top in _FOLDERS:
        for folder, names, files in os.walk(release / top):
            names[:] = [name for name in names if name != "__pycache__"]
            programs = folder.endswith("/venv/bin")
            for name in files:
                if name.endswith(_CODE) or programs:
                    path = os.path.join(folder, name)  # noqa: PTH118 - thousands of files
                    # Of a link the link itself: the interpreter it leads to is the machine's.
                    found = os.lstat(path)
                    yield path[len(str(release)) + 1 :], (found.st_size, found.st_mtime_ns)
