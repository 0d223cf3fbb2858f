"""`release.json`: what a release was made of. Written last, so a folder that has one is complete.

Runtimes read it as the applied state (DESIGN section 4). It holds no secret: the source is named without
credentials, and the environment of the app is not part of a release.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec

from celeriac.errors import CeleriacError

NAME = "release.json"
SCHEMA = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One complete release.

    `source` reads `pypi shop[web]`, `git https://… v1.2 (4f2a…)` or `release https://… sha256:…`.
    `distribution` is the installed package of the app ("" when the release is plain files in `src`),
    `entry_points` its console scripts, `packages` everything installed, as `name==version`; `server` is what was
    installed beside a hosted app that brought none.
    """

    app: str
    version: str
    release: str
    source: str
    built_at: datetime
    python: str
    uv: str
    distribution: str = ""
    entry_points: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    server: str = ""
    schema: int = SCHEMA


def write_manifest(release: Path, manifest: Manifest) -> None:
    """Write `release.json` into the folder `release` and onto the disk."""
    with (release / NAME).open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_manifest(release: Path) -> Manifest | None:
    """The manifest of the folder `release`; None when it is absent, incomplete or of a newer schema.

    Raises CeleriacError when it is there but cannot be read, which a new build would not cure.
    """
    try:
        content = (release / NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CeleriacError(
            f"{release / NAME}: cannot be read: {error.strerror}",
            hint="check who owns the home folder",
            reason="ReleaseUnreadable",
        ) from error
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError:
        return None  # ValidationError is one of these: half written or foreign, so not a release of ours
    return manifest if manifest.schema == SCHEMA else None
