"""What a release is made of, as far as a hot reload has to know: read from its folder, without running any of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from runtimes.host.codefolder import EXTENSIONS, canonical, file_hash, own_files, site_packages


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
    own = canonical(manifest.distribution)
    site = site_packages(release)
    dependencies = {}
    for info in sorted(site.glob("*.dist-info")) if site is not None else ():
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        if canonical(name) != own:
            dependencies[canonical(name)] = (version, _installed(info))
    extensions = {
        file: file_hash(release / file)
        for file in own_files(release, manifest.distribution)
        if file.endswith(EXTENSIONS)
    }
    return ReleaseFacts(manifest.distribution, manifest.python, dependencies, extensions)


def _installed(info: Path) -> str:
    """The hash of what a distribution installed into site-packages: the same version may be another build."""
    try:
        lines = (info / "RECORD").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    kept = sorted(line for line in lines if not line.startswith(("../", info.name)) and "__pycache__/" not in line)
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()
