"""What is applied on this node: `<home>/apps/<app>/applied.json`, one per app.

Written by the process runtime before it starts anything and after it proved to work; read by the
launcher (`runtimes.launch`) at every start, by the observation, and after a crash to tell how far
things got. It holds commands, so it is readable by its owner only. `phase` is the honest part:

- switching: files are being put in place; nothing may be started from them
- starting: everything is in place and a start was asked for; not yet known to work
- running: it was healthy with exactly this
- failed: it did not become healthy
- stopped: somebody asked for it not to run
- removing: on its way out
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from runtimes.files import write_atomic
from specs.digest import Digest
from specs.model import Health, Icon, Isolation, Strategy

Phase = Literal["switching", "starting", "running", "failed", "stopped", "removing"]

MANIFEST = "applied.json"
ENV = "env"


@dataclass(frozen=True, slots=True)
class Previous:
    """The release that ran, and was healthy, before this one: where a roll-back goes to."""

    version: str
    digest: str
    release: str
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """One app as it is applied. `release` is the absolute path of its release folder.

    `reloaded` names the processes, as `pid:start`, that took the present code or environment over while they
    ran: their own memory of it at start is older. `app` is the callable of a hosted app, whose process tells what it
    really runs. `venv`: the release has an interpreter of its own.
    """

    name: str
    version: str
    digest: str
    release: str
    processes: Mapping[str, tuple[str, ...]]
    node: str
    home_id: str
    env_file: str
    env_sha256: str
    supervisor_pid: str
    phase: Phase = "switching"
    revision: str = ""
    depends_on: tuple[str, ...] = ()
    isolation: Isolation = "process"
    strategy: Strategy = "restart"
    description: str = ""
    icon: Icon = field(default_factory=Icon)
    health: Health | None = None
    app: str = ""
    reload_signal: str = ""
    port: int = 0
    memory: int = 0
    cpus: float = 0.0
    venv: bool = False
    applied_at: datetime | None = None
    message: str = ""
    reloaded: Mapping[str, str] = field(default_factory=dict)
    previous: Previous | None = None

    @property
    def release_id(self) -> str:
        """The name of the release folder."""
        return Path(self.release).name

    @property
    def parts(self) -> Digest:
        """The digest in its parts."""
        return Digest.parse(self.digest)

    def as_previous(self) -> Previous | None:
        """What the next release remembers of this one."""
        if self.phase == "running":
            return Previous(self.version, self.digest, self.release, self.revision)
        return self.previous


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Applied)
_env_decoder = msgspec.json.Decoder(dict[str, str])


class AppliedStore:
    """Reads and writes the manifests of one home folder. A file that did not change is not read again."""

    def __init__(self, home: Path) -> None:
        self._apps = home / "apps"
        self._seen: dict[str, tuple[tuple[int, int], Applied | None]] = {}
        self._hashes: dict[str, tuple[tuple[int, int, int], str]] = {}

    def folder(self, name: str) -> Path:
        """The folder of app `name`."""
        return self._apps / name

    def get(self, name: str) -> Applied | None:
        """What is applied of `name`; None when nothing is, or when its manifest is unreadable."""
        path = f"{self._apps}/{name}/{MANIFEST}"
        try:
            status = os.stat(path)  # noqa: PTH116 - one call per app and observation
        except OSError:
            self._seen.pop(name, None)
            return None
        key = (status.st_ino, status.st_mtime_ns)
        seen = self._seen.get(name)
        if seen is None or seen[0] != key:
            seen = (key, self._decode(path))
            self._seen[name] = seen
        return seen[1]

    def all(self) -> dict[str, Applied]:
        """Every app of which something is applied."""
        try:
            names = sorted(os.listdir(self._apps))  # noqa: PTH208
        except FileNotFoundError:
            return {}
        found = ((name, self.get(name)) for name in names)
        return {name: applied for name, applied in found if applied is not None}

    def put(self, applied: Applied) -> Applied:
        """Replace the manifest of the app in one step."""
        folder = self.folder(applied.name)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / MANIFEST, _encoder.encode(applied))
        return applied

    def drop(self, name: str) -> None:
        """Say that nothing of `name` is applied. Its environment goes too: it may hold secrets."""
        folder = self.folder(name)
        (folder / ENV).unlink(missing_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)

    def put_env(self, name: str, env: Mapping[str, str]) -> str:
        """Replace the environment of the app, readable by its owner only; return its hash."""
        content = encode_env(env)
        folder = self.folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / ENV, content)
        return hashlib.sha256(content).hexdigest()

    def env(self, name: str) -> dict[str, str]:
        """The environment that the next start of `name` will have; empty when there is none to read."""
        try:
            return _env_decoder.decode((self.folder(name) / ENV).read_bytes())
        except (OSError, msgspec.MsgspecError):
            return {}

    def env_sha256(self, name: str) -> str:
        """The hash of the environment file as it is now; empty when it cannot be read."""
        path = f"{self._apps}/{name}/{ENV}"
        try:
            status = os.stat(path)  # noqa: PTH116 - one call per app and observation
            key = (status.st_ino, status.st_mtime_ns, status.st_size)
            seen = self._hashes.get(name)
            if seen is None or seen[0] != key:
                seen = self._hashes[name] = (key, hashlib.sha256(Path(path).read_bytes()).hexdigest())
        except OSError:
            return ""
        return seen[1]

    @staticmethod
    def _decode(path: str) -> Applied | None:
        try:
            return _decoder.decode(Path(path).read_bytes())
        except (OSError, msgspec.MsgspecError):  # as if nothing were applied: the next deploy writes it anew
            return None


def encode_env(env: Mapping[str, str]) -> bytes:
    """The content of an environment file: one JSON object, the same for equal environments."""
    return msgspec.json.format(msgspec.json.encode(dict(env), order="sorted"), indent=1)


def now() -> datetime:
    """The present, for `applied_at`."""
    return datetime.now(UTC)
