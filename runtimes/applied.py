"""What is applied on this node: one manifest per app, and while an app is upgraded beside itself a second one.

    apps/<app>/blue/{applied.json,env,upstream,health.json,run/}    one generation: what it runs, and is asked by
    apps/<app>/green/…                                              the other one, while there are two
    apps/<app>/live -> blue                                         which of them is in force, swapped in one step
    apps/<app>/applied.json -> live/applied.json, env -> live/env   the same, by the names that never change

Written by the process runtime before it starts anything and after it proved to work; read by the
launcher (`runtimes.launching`) at every start, by the observation, and after a crash to tell how far
things got. It holds commands, so it is readable by its owner only. `phase` is the honest part:

- switching: files are being put in place; nothing may be started from them
- starting: everything is in place and a start was asked for; not yet known to work
- running: it was healthy with exactly this
- failed: it did not become healthy
- stopped: somebody asked for it not to run
- removing: on its way out
- draining: another generation is in force; it answers what it was asked before, and is not started again
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from runtimes.files import link_atomic, write_atomic
from runtimes.sides import SIDES, Side
from specs.digest import Digest
from specs.model import Expose, Health, Icon, Isolation, Strategy

Phase = Literal["switching", "starting", "running", "failed", "stopped", "removing", "draining"]

MANIFEST = "applied.json"
ENV = "env"
UPSTREAM = "upstream"
LIVE = "live"


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
    `cgroups`: control groups may hold it to its limits.
    `port` is the app's $PORT: where it is exposed a private one, which the front leads `expose.port` to.
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
    cgroups: bool = True
    venv: bool = False
    applied_at: datetime | None = None
    message: str = ""
    reloaded: Mapping[str, str] = field(default_factory=dict)
    previous: Previous | None = None
    side: Side = "blue"
    expose: Expose | None = None
    port_lock: str = ""

    @property
    def health_port(self) -> int:
        """The port that the health check asks: never the public one, behind which another generation may be."""
        if self.health is None or self.health.type == "custom":
            return 0
        return self.port if self.expose is not None and self.health.port == self.expose.port else self.health.port

    @property
    def upstream(self) -> str:
        """Where the front finds this generation."""
        return f"127.0.0.1:{self.port}"

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
    """Reads and writes the manifests of one home folder. A file that did not change is not read again.

    Without a side, what is meant is the generation that is in force.
    """

    def __init__(self, home: Path) -> None:
        self._apps = home / "apps"
        self._seen: dict[tuple[str, str], tuple[tuple[int, int, int], Applied | None]] = {}
        self._hashes: dict[str, tuple[tuple[int, int, int], str]] = {}

    def folder(self, name: str) -> Path:
        """The folder of app `name`."""
        return self._apps / name

    def side_folder(self, name: str, side: Side) -> Path:
        """The folder of one generation of app `name`."""
        return self._apps / name / side

    def get(self, name: str, side: Side | None = None) -> Applied | None:
        """What is applied of `name`; None when nothing is, or when its manifest is unreadable."""
        path = f"{self._apps}/{name}/{side or LIVE}/{MANIFEST}"
        try:
            status = os.stat(path)  # noqa: PTH116 - one call per app and observation
        except OSError:
            self._seen.pop((name, side or LIVE), None)
            return None
        key = (status.st_ino, status.st_mtime_ns, status.st_size)
        seen = self._seen.get((name, side or LIVE))
        if seen is None or seen[0] != key:
            seen = (key, self._decode(path))
            self._seen[name, side or LIVE] = seen
        return seen[1]

    def all(self) -> dict[str, Applied]:
        """Every app of which something is applied."""
        try:
            names = sorted(os.listdir(self._apps))  # noqa: PTH208
        except FileNotFoundError:
            return {}
        found = ((name, self.get(name)) for name in names)
        return {name: applied for name, applied in found if applied is not None}

    def live_side(self, name: str) -> Side | None:
        """Which generation of `name` is in force; None when none is."""
        try:
            target = os.readlink(f"{self._apps}/{name}/{LIVE}")  # noqa: PTH115 - a relative target is wanted as it is
        except OSError:
            return None
        return next((side for side in SIDES if side == target), None)

    def standing_by(self, name: str) -> Side | None:
        """The side of a generation that is not the one in force; None when there is none."""
        live = self.live_side(name)
        for side in SIDES:
            if side != live and os.path.isdir(f"{self._apps}/{name}/{side}"):  # noqa: PTH112 - one call per app
                return side
        return None

    def put(self, applied: Applied) -> Applied:
        """Replace the manifest of one generation in one step. The first one of an app is in force at once."""
        folder = self.side_folder(applied.name, applied.side)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(folder / MANIFEST, _encoder.encode(applied))
        live = self.live_side(applied.name)
        if live is None:
            self.go_live(applied.name, applied.side)
        elif live == applied.side:
            self._link_names(applied.name)  # in case of one that was killed in the middle of `go_live`
        return applied

    def go_live(self, name: str, side: Side) -> None:
        """Put one generation in force: manifest, environment and upstream change in the same step."""
        folder = self.folder(name)
        for left in folder.glob(f"{LIVE}.*.tmp"):  # of one that was killed here before
            left.unlink(missing_ok=True)
        link_atomic(folder / LIVE, side)
        self._link_names(name)

    def _link_names(self, name: str) -> None:
        folder = self.folder(name)
        for file in (MANIFEST, ENV):
            if not _leads_to(folder / file, f"{LIVE}/{file}"):
                link_atomic(folder / file, f"{LIVE}/{file}")

    def drop_side(self, name: str, side: Side) -> None:
        """Forget a generation of which nothing runs: its environment first, which may hold secrets."""
        folder = self.side_folder(name, side)
        (folder / ENV).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def drop(self, name: str) -> None:
        """Say that nothing of `name` is applied. Its environment goes too: it may hold secrets."""
        folder = self.folder(name)
        live = self.live_side(name)
        for side in sorted(SIDES, key=lambda side: side == live):  # what is in force last
            self.drop_side(name, side)
        for link in (ENV, MANIFEST, LIVE):
            (folder / link).unlink(missing_ok=True)

    def put_env(self, name: str, env: Mapping[str, str], side: Side | None = None) -> str:
        """Replace the environment of a generation, readable by its owner only; return its hash."""
        content = encode_env(env)
        live = self.live_side(name)
        chosen = side or live or SIDES[0]
        folder = self.side_folder(name, chosen)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(folder / ENV, content)
        if chosen == live:
            self._link_names(name)
        return hashlib.sha256(content).hexdigest()

    def env(self, name: str, side: Side | None = None) -> dict[str, str]:
        """The environment that the next start of `name` will have; empty when there is none to read."""
        try:
            return _env_decoder.decode((self._apps / name / (side or LIVE) / ENV).read_bytes())
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

    def put_upstream(self, name: str, side: Side, address: str) -> None:
        """Say where the front finds a generation. It counts while that one is in force, from the next request on."""
        if self.upstream(name, side) != address:
            write_atomic(self.side_folder(name, side) / UPSTREAM, f"{address}\n".encode())

    def upstream(self, name: str, side: Side | None = None) -> str:
        """Where the front finds `name`; empty when it was not told."""
        try:
            return (self._apps / name / (side or LIVE) / UPSTREAM).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    @staticmethod
    def _decode(path: str) -> Applied | None:
        try:
            return _decoder.decode(Path(path).read_bytes())
        except (OSError, msgspec.MsgspecError):  # as if nothing were applied: the next deploy writes it anew
            return None


def encode_env(env: Mapping[str, str]) -> bytes:
    """The content of an environment file: one JSON object, the same for equal environments."""
    return msgspec.json.format(msgspec.json.encode(dict(env), order="sorted"), indent=1)


def _leads_to(link: Path, target: str) -> bool:
    try:
        return os.readlink(link) == target  # noqa: PTH115 - a relative target is wanted as it is
    except OSError:
        return False


def now() -> datetime:
    """The present, for `applied_at`."""
    return datetime.now(UTC)
