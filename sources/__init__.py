"""Where an app comes from: fetched, verified and installed as a release with an environment of its own.

`build` makes the release of a spec, `resolve_processes` says how it is started, `releases` lists what is on disk.
Runtimes are handed `build`; nothing here knows how an app runs.
"""

from __future__ import annotations

from sources.build import build
from sources.commands import resolve_argv, resolve_processes
from sources.failure import (
    ArchiveTooLarge,
    BadSource,
    BuildFailed,
    ChecksumMismatch,
    NothingToRun,
    RefMissing,
    SourceFailure,
    Unreachable,
    UnsafeArchive,
    VersionMissing,
)
from sources.manifest import Manifest, read_manifest
from sources.releases import Release, prune_releases, release_dir, releases, remove_release

__all__ = [
    "build",
    "resolve_processes",
    "resolve_argv",
    "Manifest",
    "read_manifest",
    "Release",
    "release_dir",
    "releases",
    "prune_releases",
    "remove_release",
    "SourceFailure",
    "ArchiveTooLarge",
    "BadSource",
    "BuildFailed",
    "ChecksumMismatch",
    "NothingToRun",
    "RefMissing",
    "UnsafeArchive",
    "Unreachable",
    "VersionMissing",
]
