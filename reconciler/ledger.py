"""What this node brought into force, per app, newest first: where a roll-back finds what there was before.

`<home>/ledger/<app>.json`, replaced in one step; it holds digests and versions only. The specs
themselves are in the vault, which keeps those that a ledger names.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from specs.digest import Digest
from specs.names import is_name

KEPT = 10


class Entry(msgspec.Struct, frozen=True):
    """One state of an app that was healthy. `at` is seconds since the epoch."""

    digest: str
    version: str
    at: float
    revision: str = ""


_decoder = msgspec.json.Decoder(list[Entry])


class Ledger:
    """The ledgers of all apps of a node."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "ledger"

    def of(self, app: str) -> list[Entry]:
        """What was in force of `app`, newest first. A damaged ledger counts as empty."""
        if not is_name(app):
            return []
        try:
            return _decoder.decode((self._folder / f"{app}.json").read_bytes())
        except (OSError, msgspec.MsgspecError):
            return []

    def add(self, app: str, entry: Entry) -> None:
        """Remember that `entry` is in force now. Twice the same is once."""
        before = self.of(app)
        if before and before[0].digest == entry.digest:
            return
        self._write(app, [entry, *(old for old in before if old.digest != entry.digest)][:KEPT])

    def has(self, app: str) -> bool:
        """Whether anything is remembered of `app`."""
        return (self._folder / f"{app}.json").exists()

    def begin(self, app: str, entry: Entry) -> None:
        """Remember what was in force before anything was remembered of `app`."""
        if not self.has(app):
            self._write(app, [entry])

    def drop(self, app: str) -> None:
        """Forget `app`."""
        if is_name(app):
            (self._folder / f"{app}.json").unlink(missing_ok=True)

    def digests(self) -> set[str]:
        """Every digest that some ledger names."""
        if not self._folder.is_dir():
            return set()
        return {entry.digest for path in self._folder.glob("*.json") for entry in self.of(path.stem)}

    def _write(self, app: str, entries: list[Entry]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{app}-", dir=self._folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(entries))
        Path(temporary).replace(self._folder / f"{app}.json")


def before(entries: list[Entry], current: str, version: str | None = None) -> Entry | None:
    """What to go back to from the digest `current`: the newest entry of `version`, or of another release. Pure."""
    now = Digest.parse(current)
    for entry in entries:
        if entry.digest == current:
            continue
        if version is not None:
            if entry.version == version:
                return entry
        elif Digest.parse(entry.digest).release != now.release:
            return entry
    return None
