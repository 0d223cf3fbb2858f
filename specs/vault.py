"""Whole specs on this machine's disk, by digest: what deploying reads, since messages and Redis hold no env.

Written when a file was parsed, read where an app is deployed. A vault can be lost at any time:
whoever misses a spec parses its file again. Files are 0600 in a folder of 0700, and complete or absent.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from pathlib import Path

import msgspec

from celeriac.errors import CeleriacError
from specs.digest import digest
from specs.model import AppSpec

_DIGEST = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{16}")
_ENDING = ".json"


class VaultError(CeleriacError):
    """A spec cannot be kept: the disk is full, or the folder is not ours."""

    reason = "VaultFailed"


class SpecVault:
    """The specs below `<home>/specs`. Any number of processes may use it at once."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "specs"
        self._decoder = msgspec.json.Decoder(AppSpec)

    def put(self, spec: AppSpec) -> str:
        """Keep `spec` and return its digest. One that is already there as it is, is left alone.

        Raises VaultError.
        """
        name = str(digest(spec))
        path = self.folder / f"{name}{_ENDING}"
        content = msgspec.json.encode(spec)
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                if path.read_bytes() == content:
                    return name
            self._write(path, content)
        except OSError as error:
            raise VaultError(
                f"the spec of {spec.name} cannot be kept in {self.folder}: {error.strerror}",
                hint="check free space and permissions of that folder",
            ) from error
        return name

    def get(self, wanted: str) -> AppSpec | None:
        """The spec with the digest `wanted`; None when it is absent, or damaged in any way."""
        if not _DIGEST.fullmatch(wanted):
            return None
        try:
            content = (self.folder / f"{wanted}{_ENDING}").read_bytes()
            spec = self._decoder.decode(content)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return spec if str(digest(spec)) == wanted else None

    def prune(self, keep: set[str]) -> int:
        """Delete every spec whose digest is not in `keep`, and what a killed writer left; return how many.

        Raises VaultError.
        """
        removed = 0
        try:
            entries = list(self.folder.iterdir()) if self.folder.is_dir() else []
            for path in entries:
                if path.suffix == _ENDING and path.stem not in keep:
                    path.unlink(missing_ok=True)
                    removed += 1
                elif path.suffix == ".part" and _is_stale(path):
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise VaultError(f"{self.folder} cannot be tidied: {error.strerror}") from error
        return removed

    def _write(self, path: Path, content: bytes) -> None:
        # Not synced to disk: after a power loss an empty file reads as absent, and is made again from Git.
        descriptor, temporary = tempfile.mkstemp(suffix=".part", dir=self.folder)  # made with 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _is_stale(path: Path) -> bool:
    """Whether a temporary file is too old to belong to a running writer; those take milliseconds."""
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > 3600
    return False
