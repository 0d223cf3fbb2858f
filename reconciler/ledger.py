"""What this node brought into force, per app, newest first: where a roll-back finds what there was before.

`<home>/ledger/<app>.json`, replaced in one step; it holds digests, versions and why something was taken back, no
environment. The specs themselves are in the vault, which keeps those that a ledger names. It is the memory that is
left when Redis loses everything: `reconciler.remember` reads from it what Redis should know.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from specs.digest import Digest
from specs.names import is_name

KEPT = 10
"""How many entries are kept of an app; of those that are older, the newest of each release, up to so many releases."""

_LEAST_OF_DIGEST = 8


class Entry(msgspec.Struct, frozen=True):
    """One state of an app that was healthy. `at` is seconds since the epoch, `action` what brought it.

    `release` is the name of its release folder, where there is one. `failed`: it was taken back soon after.
    `refused` is the digest that Git asked for when this one was brought back, which must wait: until it changes when
    that was done `by_hand`, else until `until`, after so many `attempts`; `why` tells what happened.
    """

    digest: str
    version: str
    at: float
    revision: str = ""
    action: str = ""
    release: str = ""
    failed: bool = False
    refused: str = ""
    refused_version: str = ""
    by_hand: bool = False
    until: float = 0.0
    attempts: int = 0
    why: str = ""


_decoder = msgspec.json.Decoder(list[Entry])


class Ledger:
    """The ledgers of all apps of a node."""

    def __init__(self, home: Path, releases: int = KEPT) -> None:
        self._folder = home / "ledger"
        self._releases = releases

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
        if before and (before[0].digest, before[0].refused) == (entry.digest, entry.refused):
            return
        self._write(app, [entry, *(old for old in before if old.digest != entry.digest)])

    def has(self, app: str) -> bool:
        """Whether anything is remembered of `app`."""
        return (self._folder / f"{app}.json").exists()

    def begin(self, app: str, entry: Entry) -> None:
        """Remember what was in force before anything was remembered of `app`."""
        if not self.has(app):
            self._write(app, [entry])

    def take_back(self, app: str, failed: str, entry: Entry) -> None:
        """Remember that `entry` is in force again, and that the digest `failed`, where it ever was in force, is bad."""
        before = [
            msgspec.structs.replace(old, failed=True) if old.digest == failed else old
            for old in self.of(app)
            if old.digest != entry.digest
        ]
        self._write(app, [entry, *before])

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
            file.write(msgspec.json.encode(kept(entries, self._releases)))
        Path(temporary).replace(self._folder / f"{app}.json")


def kept(entries: list[Entry], releases: int) -> list[Entry]:
    """Those of `entries`, newest first, that are worth keeping: an environment may change a hundred times. Pure."""
    found, seen = entries[:KEPT], {Digest.parse(entry.digest).release for entry in entries[:KEPT]}
    for entry in entries[KEPT:]:
        release = Digest.parse(entry.digest).release
        if release not in seen and len(seen) < releases:
            seen.add(release)
            found.append(entry)
    return found


def before(entries: list[Entry], current: str, wanted: str | None = None) -> Entry | None:
    """What to go back to from the digest `current`. Pure.

    The newest entry of the version `wanted`, or whose digest begins so; without it, of another release that was not
    taken back.
    """
    now = Digest.parse(current)
    others = [entry for entry in entries if not Digest.parse(entry.digest).runs_like(now)]
    if wanted is None:
        return next((e for e in others if Digest.parse(e.digest).release != now.release and not e.failed), None)
    return next((e for e in others if e.version == wanted), None) or next(
        (e for e in others if len(wanted) >= _LEAST_OF_DIGEST and e.digest.startswith(wanted)), None
    )
