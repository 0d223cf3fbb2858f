"""Whole specs on this machine's disk, by digest: what deploying reads, since messages and Redis hold no env.

Written when a file was parsed, read where an app is deployed. A vault can be lost at any time:
whoever misses a spec parses its file again. Its one file is 0600, in a folder of 0700; a spec is whole or absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from celeriac.errors import CeleriacError
from celeriac.shelf import Shelf
from specs.digest import digest
from specs.model import AppSpec

_DIGEST = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{16}")


class VaultError(CeleriacError):
    """A spec cannot be kept or read: the disk is full, or the folder is not ours."""

    reason = "VaultFailed"


class SpecVault:
    """The specs below `<home>/specs`. Any number of processes may use it at once. Methods may raise VaultError."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "specs"
        self._shelf = Shelf(self.folder / "specs.db")
        self._decoder = msgspec.json.Decoder(AppSpec)

    def put(self, spec: AppSpec) -> str:
        """Keep `spec` and return its digest."""
        return self.put_all([spec])[0]

    def put_all(self, specs: Iterable[AppSpec]) -> list[str]:
        """Keep `specs`, in one go, and return their digests."""
        named = [(str(digest(spec)), spec) for spec in specs]
        try:
            self._shelf.put({name: msgspec.json.encode(spec) for name, spec in named})
        except OSError as error:
            which = named[0][1].name if len(named) == 1 else f"{len(named)} apps"
            raise self._failed(f"the spec of {which} cannot be kept in", error) from error
        return [name for name, _ in named]

    def get(self, wanted: str) -> AppSpec | None:
        """The spec with the digest `wanted`; None when it is absent, or damaged in any way."""
        if not _DIGEST.fullmatch(wanted):
            return None
        try:
            content = self._shelf.get(wanted)
            spec = self._decoder.decode(content) if content else None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return spec if spec is not None and str(digest(spec)) == wanted else None

    def prune(self, keep: set[str]) -> int:
        """Forget every spec whose digest is not in `keep`; return how many."""
        try:
            return self._shelf.drop(self._shelf.names() - keep)
        except OSError as error:
            raise self._failed("old specs cannot be removed from", error) from error

    def _failed(self, what: str, error: OSError) -> VaultError:
        return VaultError(
            f"{what} {self.folder}: {error.strerror or error}",
            hint="check free space and permissions of that folder",
        )
