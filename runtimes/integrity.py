"""Whether the code of the releases that run is still what was built: looked at now and then, remembered on disk.

`look` compares and is for the periodic checks; `damage` tells what it found last, at the cost of one look at a small
file, and is for the observation. A release that is built anew counts as whole until it is looked at.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from celeriac import fingerprint
from runtimes.applied import Applied
from runtimes.files import write_atomic

EVERY = 60.0
"""Seconds between two looks at the files of a release. Where a file came or went on top, it is looked at at once."""


class _Seen(msgspec.Struct, frozen=True):
    """What the last look found: of which build, what is damaged, and the times of the folders that tell most."""

    stamp: str
    damage: str = ""
    folders: tuple[int, ...] = ()


_decoder = msgspec.json.Decoder(_Seen)


class Integrity:
    """Looks after the releases of the apps of one home folder."""

    def __init__(self, home: Path) -> None:
        self._apps = home / "apps"
        self._known: dict[str, tuple[tuple[int, int], _Seen | None]] = {}

    def damage(self, applied: Applied) -> str:
        """What the last look at the app's release found to be damaged; empty for nothing."""
        seen = self._seen(applied.name)
        if seen is None or not seen.damage or seen.stamp != fingerprint.stamp(Path(applied.release)):
            return ""
        return seen.damage

    def due(self, applied: Applied) -> bool:
        """Whether the app's release is to be looked at now."""
        release = Path(applied.release)
        stamp = fingerprint.stamp(release)
        if not stamp or applied.phase != "running":
            return False
        seen = self._seen(applied.name)
        if seen is None or seen.stamp != stamp or seen.folders != _folders(release):
            return True
        (_, looked_at), _ = self._known[applied.name]
        return time.time() - looked_at / 1e9 >= EVERY

    def look(self, applied: Applied) -> str:
        """Compare the app's release with what was built; what is damaged."""
        release = Path(applied.release)
        stamp, folders = fingerprint.stamp(release), _folders(release)
        found = fingerprint.changed(release)
        damage = f"files of its release were changed or deleted: {', '.join(found)}" if found else ""
        write_atomic(self._path(applied.name), msgspec.json.encode(_Seen(stamp, damage, folders)))
        return damage

    def _seen(self, app: str) -> _Seen | None:
        path = self._path(app)
        try:
            status = path.stat()
        except OSError:
            return None
        key = (status.st_ino, status.st_mtime_ns)
        known = self._known.get(app)
        if known is None or known[0] != key:
            try:
                known = (key, _decoder.decode(path.read_bytes()))
            except (OSError, msgspec.MsgspecError):
                known = (key, None)
            self._known[app] = known
        return known[1]

    def _path(self, app: str) -> Path:
        return self._apps / app / "integrity.json"


def _folders(release: Path) -> tuple[int, ...]:
    """When a file last came or went in the folders that matter most."""
    times = []
    for folder in (release / "venv" / "bin", *sorted((release / "venv" / "lib").glob("python*/site-packages"))):
        try:
            times.append(os.stat(folder).st_mtime_ns)  # noqa: PTH116 - one call per app and observation
        except OSError:
            times.append(0)
    return tuple(times)
