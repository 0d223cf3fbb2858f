"""What a release is made of, as far as a hot reload has to know: read from its folder, without running any of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from runtimes.host.codefolder import EXTENSIONS, file_hash, own_files
from runtimes.host.shared import dependencies


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """`dependencies` maps each distribution beside the app's own to its version and the hash of what it installed;
    `extensions` maps the app's own C extensions to theirs.
    """

    distribution: str = ""
    python: str = ""
    dependencies: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    extensions: Mapping[str, str] = field(default_factory=dict)


class _Manifest(msgspec.Struct):
    """What is needed of `release.json` (`sources.manifest`)."""

    distribution: str = ""
    python: str = ""


def read_facts(release: Path) -> ReleaseFacts:
    """The facts of the folder `release`. Raises OSError when it cannot be read."""
    try:
        manifest = msgspec.json.decode((release / "release.json").read_bytes(), type=_Manifest)
    except (FileNotFoundError, msgspec.MsgspecError):
        manifest = _Manifest()
    found = dependencies(release, manifest.distribution)
    extensions = {
        file: file_hash(release / file)
        for file in own_files(release, manifest.distribution)
        if file.endswith(EXTENSIONS)
    }
    return ReleaseFacts(
        manifest.distribution,
        manifest.python,
        {name: (one.version, one.content) for name, one in found.items()},
        extensions,
    )
