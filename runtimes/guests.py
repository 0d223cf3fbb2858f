"""The shared host process of a node's embedded apps, seen from Celeriac: it is there while there are any.

It is a program of the node's own supervisor, `@guests`, as the front is `@front`. An embedded app is a guest in it, and
for the supervisor it is its attendant (`runtimes.host.attendant`): a small process that lives as long as the guest and
holds its locks, port and stamps. So all else (observation, healing, upgrades, names, logs) is as for any app.

    <home>/guests/control.sock      where attendants come; the process is `runtimes.host.guests`
    <home>/guests/site-packages     what guests share
    <home>/guests/lock              held while the process is started or ended

Killed at any line: a process without a guest is ended by the next `settle` or `revive`; guests without the process wait
for it in their attendants, and `ensure` or `revive` starts it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runtimes.applied import Applied, AppliedStore
from runtimes.base import RuntimeFailure
from runtimes.files import LockTimeoutError, locked
from runtimes.host import shared
from runtimes.host.shared import Distribution
from runtimes.launching import HOST_PROGRAM
from runtimes.release_facts import read_facts
from runtimes.supervisor_conf import guests_conf
from runtimes.supervisor_rpc import SupervisorError, SupervisorGoneError
from runtimes.supervisord import Supervisor
from specs.model import AppSpec

NAME = "@guests"
EMBEDDED = "embedded"
_PROCESS = "host"
_LOCK_LIMIT = 60.0


class Guests:
    """The shared host process of `home`, under its `supervisor`; `store` tells what is applied."""

    def __init__(self, home: Path, store: AppliedStore, supervisor: Supervisor) -> None:
        self._home = home
        self._store = store
        self._supervisor = supervisor
        self.folder = home / "guests"

    def refuse(self, spec: AppSpec, release: Path) -> None:
        """Raise RuntimeFailure where `spec` in its `release` cannot be a guest beside those that there are.

        Nothing of the app has been touched then.
        """
        if spec.isolation != EMBEDDED:
            return
        if not spec.run.app:
            raise RuntimeFailure(
                spec.name, "start", "only run.app can be embedded", reason="NotHosted", hint="set isolation: process"
            )
        others = {name: one for name, one in self._all().items() if name not in {spec.name, spec.renamed_from}}
        mine = python_of(release)
        for name, one in others.items():
            if python_of(Path(one.release)) != mine:
                raise self._conflict(spec, f"it is built for {mine}, and its neighbour {name} for another Python")
        why, _ = shared.conflict(
            spec.name, _dependencies(release), {name: _dependencies(Path(one.release)) for name, one in others.items()}
        )
        if why:
            raise self._conflict(spec, f"{why}: embedded apps share one process")

    def why_not_beside(self, applied: Applied, spec: AppSpec, release: Path) -> str:
        """Why the guest that runs and the next one cannot be in one process at the same time; empty when they can."""
        if applied.isolation != EMBEDDED or spec.isolation != EMBEDDED:
            return ""
        why, _ = shared.conflict(
            "the new release", _dependencies(release), {spec.name: _dependencies(Path(applied.release))}
        )
        return f"{why}, in the same process" if why else ""

    def ensure(self, release: Path) -> None:
        """Have the process run, for a guest of `release` where there is no other. Cheap when it does."""
        with self._lock():
            self.folder.mkdir(mode=0o700, exist_ok=True)
            (self._home / "logs").mkdir(mode=0o700, exist_ok=True)
            argv = [python_of(release), "-I", "-S", HOST_PROGRAM, "--guests", str(self.folder)]
            section = guests_conf(self._home, NAME, _PROCESS, argv, home_id=self._supervisor.home_id)
            self._supervisor.put_program(NAME, _PROCESS, section)
            self._supervisor.start(NAME, (_PROCESS,))

    def revive(self) -> None:
        """Have the process run where there are guests, and not where there are none."""
        guests = [one for one in self._all().values() if one.phase in {"starting", "running"}]
        if guests:
            with contextlib.suppress(SupervisorGoneError):
                info = self._supervisor.group(NAME, (_PROCESS,)).get(_PROCESS)
                if info is None or not (info.up or info.state == "BACKOFF"):
                    self.ensure(Path(guests[0].release))
        else:
            self.settle()

    def settle(self) -> None:
        """End the process when there is no guest. Cheap when there is one, or no process."""
        if not self._supervisor.has_conf(NAME) or self._all():
            return
        with self._lock():
            if self._all():
                return
            self._supervisor.remove(NAME)
            for path in self.folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != "lock":
                    path.unlink(missing_ok=True)

    def pid(self) -> int:
        """The id of the process; 0 when there is none."""
        try:
            info = self._supervisor.group(NAME, (_PROCESS,)).get(_PROCESS)
        except SupervisorGoneError:
            return 0
        return info.pid if info is not None else 0

    def restarted(self) -> Mapping[str, Any] | None:
        """Why the process ended itself and all guests were started anew, once: `guest`, `why`, `neighbours`."""
        path = self.folder / "restart.json"
        if not path.exists():
            return None
        mine = path.with_name(f"restart.{os.getpid()}")
        try:
            path.rename(mine)  # only one of us tells
            note: dict[str, Any] = json.loads(mine.read_bytes())
        except (OSError, ValueError):
            return None
        finally:
            mine.unlink(missing_ok=True)
        return note

    def _all(self) -> dict[str, Applied]:
        """The apps that are applied as guests, in either place."""
        found = {}
        for name, applied in self._store.all().items():
            side = self._store.standing_by(name)
            beside = self._store.get(name, side) if side is not None else None
            guests = (one for one in (applied, beside) if one is not None and one.isolation == EMBEDDED)
            one = next((one for one in guests if one.phase != "removing"), None)
            if one is not None:
                found[name] = one
        return found

    @staticmethod
    def _conflict(spec: AppSpec, why: str) -> RuntimeFailure:
        return RuntimeFailure(
            spec.name,
            "start",
            why,
            reason="DependencyConflict",
            hint="give one of the two isolation: process, or bring both to the same versions",
        )

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with locked(self.folder / "lock", timeout=_LOCK_LIMIT):
                yield
        except LockTimeoutError:
            raise SupervisorError("another process has been changing the shared host process for too long") from None


def python_of(release: Path) -> str:
    """The interpreter that the environment of `release` was made for."""
    return os.path.realpath(release / "venv" / "bin" / "python")


def _dependencies(release: Path) -> dict[str, Distribution]:
    try:
        facts = read_facts(release)
    except OSError:
        return {}
    return {name: Distribution(*both) for name, both in facts.dependencies.items()}
