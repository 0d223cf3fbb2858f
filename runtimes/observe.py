"""What really runs, said truthfully: manifests, supervisor and live processes put together. Changes nothing.

`Observer` gathers the facts of all apps with one call of the supervisor, and reads again only what changed since the
last time. What they mean is decided in `runtimes.facts`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil

from runtimes import logs, overruns, strays
from runtimes.applied import LIVE, Applied, AppliedStore
from runtimes.facts import Facts, HealthRecord, identity, state_of, took_over
from runtimes.files import is_locked, write_atomic
from runtimes.front_config import ports_of
from runtimes.host_client import running_digest
from runtimes.integrity import Integrity
from runtimes.sides import Side, group_name, side_of
from runtimes.supervisor_rpc import ProcessInfo, SupervisorError, SupervisorGoneError
from runtimes.supervisord import Supervisor
from specs.appstate import AppState
from specs.digest import Digest

_LAST_LINES = 5
_record_decoder = msgspec.json.Decoder(HealthRecord)


class Observer:
    """Gathers the facts of the apps of one home folder."""

    def __init__(self, home: Path, store: AppliedStore, supervisor: Supervisor) -> None:
        self._home = home
        self._store = store
        self._supervisor = supervisor
        self._digests: dict[str, str] = {}
        self._opened: tuple[tuple[int, int], frozenset[int]] = ((0, 0), frozenset())
        self._records: dict[str, tuple[tuple[int, int], HealthRecord | None]] = {}
        self.integrity = Integrity(home)

    def all(self) -> dict[str, AppState]:
        """The state of every app of which something is applied."""
        applied = self._store.all()
        if not applied:
            return {}
        processes: dict[str, dict[str, ProcessInfo]] | None = None
        trouble = ""
        try:
            processes = self._supervisor.processes()
        except SupervisorGoneError:
            trouble = "the supervisor is not running"
        except SupervisorError as error:
            trouble = error.message
        self._forget_old(processes or {})
        states = {}
        for name, one in applied.items():
            own = None if processes is None else processes.get(group_name(name, one.side), {})
            states[name] = self._state(self._facts(one, own, trouble))
        return states

    def one(self, name: str, processes: Mapping[str, ProcessInfo] | None = None) -> AppState | None:
        """The state of one app; None when nothing of it is applied. `processes` of it may have been seen just now."""
        applied = self._store.get(name)
        if applied is None:
            return None
        try:
            if processes is None:
                processes = self._supervisor.group(name, applied.processes, applied.side)
            return self._state(self._facts(applied, processes, ""))
        except SupervisorGoneError:
            return self._state(self._facts(applied, None, ""))

    def record(self, name: str) -> HealthRecord | None:
        """What the last health check of `name` found."""
        path = self._record_path(name)
        try:
            status = os.stat(path)  # noqa: PTH116 - one call per app and observation
        except OSError:
            return None
        key = (status.st_ino, status.st_mtime_ns)
        seen = self._records.get(name)
        if seen is None or seen[0] != key:
            try:
                decoded = _record_decoder.decode(Path(path).read_bytes())
            except (OSError, msgspec.MsgspecError):
                decoded = None
            seen = self._records[name] = (key, decoded)
        return seen[1]

    def put_record(self, name: str, record: HealthRecord, side: Side | None = None) -> None:
        """Remember what a health check found; nothing is written when it is what is known already.

        Nothing, either, of a generation that is gone.
        """
        if side in (None, self._store.live_side(name)) and self.record(name) == record:
            return
        with contextlib.suppress(FileNotFoundError):
            write_atomic(Path(self._record_path(name, side)), msgspec.json.encode(record))

    def stamped(self, app: str, info: ProcessInfo) -> str:
        """The digest that a living process was started with; empty when it cannot be told."""
        key = f"{app}:{info.name}:{identity(info)}"
        if key not in self._digests:
            stamped = self._read_stamp(app, info)
            if not stamped:
                return ""
            self._digests[key] = stamped
        return self._digests[key]

    def running(self, applied: Applied, info: ProcessInfo) -> str:
        """The digest of what a living process runs: its stamp or, of one that may have been changed since its start,
        what its host says. A host that does not answer is taken to run what it was last seen to.
        """
        stamped = self.stamped(applied.name, info)
        changed = took_over(applied, info.name, info)
        if not applied.app or not stamped or (not changed and Digest.parse(stamped).runs_like(applied.parts)):
            return stamped
        told = running_digest(Path(applied.env_file).parent, info.name, info.pid)
        return told or (applied.digest if changed and applied.phase == "running" else stamped)

    def _facts(self, applied: Applied, processes: Mapping[str, ProcessInfo] | None, trouble: str) -> Facts:
        digests = {n: self.running(applied, info) for n, info in (processes or {}).items() if info.up}
        facts = Facts(applied, processes, digests, self.record(applied.name), self.drift(applied), trouble)
        if not (applied.memory or applied.cpus) or not processes:
            return facts
        folder, side = self._store.folder(applied.name), applied.side
        found = {name: stamp for name in processes if (stamp := strays.read_stamp(folder / side, name)) is not None}
        return replace(facts, stamps=found, overruns=tuple(overruns.known(str(folder))) if applied.memory else ())

    def drift(self, applied: Applied) -> str:
        """What on disk is not as it was applied; empty when all is. While it is being changed nothing is."""
        if applied.phase in {"switching", "removing", "stopped"}:
            return ""
        folder = f"{self._home}/apps/{applied.name}"
        if os.path.realpath(f"{folder}/current") != os.path.realpath(applied.release):
            return "the link to its release was changed"
        if applied.venv and not os.path.exists(f"{applied.release}/venv/bin/python"):  # noqa: PTH110
            return "its virtual environment is gone"
        damage = self.integrity.damage(applied)
        if damage:
            return damage
        if self._store.env_sha256(applied.name) != applied.env_sha256:
            return "its environment file was changed"
        if applied.expose is not None and applied.phase == "running":
            if self._store.upstream(applied.name) != applied.upstream:
                return "the address that the front leads to was changed"
            if not os.path.exists(f"{self._home}/front/routes/{applied.name}.json"):  # noqa: PTH110
                return "the front does not lead to it"
            if applied.expose.port not in self._front_ports():
                return f"the front could not open port {applied.expose.port}"
        if self._store.standing_by(applied.name) and not is_locked(self._home / "locks" / applied.name):
            return "another release of it was left running beside it"
        return ""

    def _front_ports(self) -> frozenset[int]:
        path = self._home / "front" / "caddy.json"
        try:
            status = path.stat()
            key = (status.st_ino, status.st_mtime_ns)
            if self._opened[0] != key:
                self._opened = (key, ports_of(path.read_bytes()))
        except OSError:
            return frozenset()
        return self._opened[1]

    def _state(self, facts: Facts) -> AppState:
        state = state_of(facts)
        if state.status == "failed" and any(info.state == "FATAL" for info in (facts.processes or {}).values()):
            lines = logs.tail(self._home, facts.applied.name, _LAST_LINES)
            given_up = {info.name for info in (facts.processes or {}).values() if info.state == "FATAL"}
            state = state_of(facts, tuple(line.text for line in lines if line.process in given_up)[-_LAST_LINES:])
        return replace(state, message="being removed") if facts.applied.phase == "removing" else state

    def _read_stamp(self, app: str, info: ProcessInfo) -> str:
        try:
            stamped = strays.stamped_digest(psutil.Process(info.pid))
        except psutil.Error:
            return ""
        if not stamped:  # it wrote over its environment, as those do that change their title
            noted = strays.read_stamp(self._home / "apps" / app / side_of(info.app), info.name)
            stamped = noted.digest if noted is not None and noted.pid == info.pid else ""
        return stamped

    def _forget_old(self, processes: Mapping[str, Mapping[str, ProcessInfo]]) -> None:
        if len(self._digests) > 64 + 4 * sum(len(group) for group in processes.values()):
            self._digests.clear()

    def _record_path(self, name: str, side: Side | None = None) -> str:
        return f"{self._home}/apps/{name}/{side or LIVE}/health.json"
