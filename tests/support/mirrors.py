"""What tests of the mirror put into a repository, and how they look into a mirror."""

from __future__ import annotations

import subprocess
from pathlib import Path

from specs.repository import Mirror

FIRST = {"apps/web/app.yaml": "name: web\n", "apps/api/app.yaml": "name: api\n", "README.md": "hello\n"}


def contents(mirror: Mirror, revision: str) -> dict[str, bytes]:
    entries = mirror.tree(revision, "apps")
    blobs = mirror.read([entry.blob for entry in entries], 10**6)
    return {entry.path: blobs[entry.blob] for entry in entries}


def file_holding(mirror: Mirror, object_id: str) -> Path:
    """The file of one object, after the packs were taken apart so that each has one of its own."""
    for pack in list((mirror.path / "objects/pack").glob("*.pack")):
        away = pack.rename(mirror.path.parent.parent / pack.name)
        pack.with_suffix(".idx").unlink()
        with away.open("rb") as source:
            subprocess.run(["git", "--git-dir", mirror.path, "unpack-objects", "-q"], stdin=source, check=True)
    return mirror.path / "objects" / object_id[:2] / object_id[2:]
