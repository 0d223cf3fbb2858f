"""The runtime that runs nothing: for tests of everything above it, for benchmarks and for dry runs.

One small document per app under `<home>/noop` is all it writes; so it is quick, and every process of a node sees the
same apps. It passes the same conformance suite as `process`.

An app's own env tells it to misbehave:

- NOOP_SLEEP=SECONDS: each deploy, upgrade and reconfigure takes that long (and gives way to a newer state);
- NOOP_FAIL=deploy,upgrade,reconfigure,remove,build: those fail; `build` fails before anything changed;
- NOOP_UNHEALTHY=1: the app is brought to its spec but never becomes healthy.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from celeriac.shelf import Shelf
from runtimes.base import RuntimeContext, RuntimeFailure, Superseded
from runtimes.files import is_app_name
from specs.appstate import AppState
from specs.digest import Digest, digest
from specs.model import AppSpec, Isolation

_encoder = msgspec.json.Encoder()


class _Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is in a document: the state, and whether a removal must fail."""

    state: AppState
    fail_remove: bool = False


_decoder = msgspec.json.Decoder(_Kept)


class NoopRuntime:
    """Remembers what it was told to run, on disk, and says so. Hosts apps of every isolation."""

    isolations: frozenset[Isolation] = frozenset({"process", "embedded"})
    runs_hooks = False

    def __init__(self, context: RuntimeContext) -> None:
        self.context = context
        self._shelf = Shelf(context.home / "noop" / "apps.db")
        self._read: dict[str, tuple[bytes, AppState]] = {}

    def deploy(self, spec: AppSpec) -> AppState:
        """Say that `spec` runs."""
        return self._bring(spec, "deploy")

    def upgrade(self, spec: AppSpec, old_version: str) -> AppState:
        """Say that `spec` runs instead of what ran before."""
        return self._bring(spec, "upgrade")

    def reconfigure(self, spec: AppSpec) -> AppState:
        """Say that `spec` runs with its new environment."""
        return self._bring(spec, "reconfigure")

    def remove(self, name: str) -> None:
        """Forget the app `name`."""
        if not is_app_name(name):
            return
        content = self._shelf.get(name)
        if content is None:
            return
        if _decoder.decode(content).fail_remove:
            raise RuntimeFailure(name, "remove", "told to fail by NOOP_FAIL")
        self._shelf.drop([name])

    def adopt(self, spec: AppSpec, old_name: str) -> AppState:
        """Say that `spec` runs instead of the app `old_name`, and forget that one.

        When `spec` fails, `old_name` is as it was and nothing of `spec` is left. Repeated after a crash at any line it
        goes on: `old_name` is forgotten last. Without an app `old_name` it is a deploy.
        """
        if old_name == spec.name:
            return self.deploy(spec)
        before = self.current(spec.name)
        try:
            state = self.deploy(spec)
        except RuntimeFailure:
            if before is None and is_app_name(spec.name):
                self._shelf.drop([spec.name])
            raise
        self.remove(old_name)
        return state

    def record(self, spec: AppSpec) -> AppState:
        """Take over what changes nothing that runs: description, icon, health and the like."""
        before = self.current(spec.name)
        if before is None:
            return self.deploy(spec)
        state = replace(
            self._state(spec, digest_text=str(digest(spec))),
            status=before.status,
            health=before.health,
            started_at=before.started_at,
            message=before.message,
        )
        self._write(spec, state)
        return state

    def current(self, name: str) -> AppState | None:
        """The state of one app; None when it is not there."""
        if not is_app_name(name):
            return None
        content = self._shelf.get(name)
        return _decoder.decode(content).state if content is not None else None

    def current_state(self) -> dict[str, AppState]:
        """Every app that any process of this node deployed. Documents that did not change are not decoded again."""
        before, self._read = self._read, {}
        for name, content in self._shelf.all().items():
            known = before.get(name)
            if known is None or known[0] != content:
                known = (content, _decoder.decode(content).state)
            self._read[name] = known
        return {name: state for name, (_, state) in self._read.items()}

    def _bring(self, spec: AppSpec, what: str) -> AppState:
        if not is_app_name(spec.name):
            raise RuntimeFailure(spec.name, "start", "that is not the name of an app")
        failing = _failing(spec)
        if "build" in failing:
            raise RuntimeFailure(spec.name, "build", "told to fail by NOOP_FAIL")
        if "NOOP_SLEEP" in spec.env:
            self._sleep(spec)
        state = self._state(spec, digest_text=str(digest(spec)))
        before = self.current(spec.name)
        if before is not None and before.status == "running" and _runs_like(before, state):
            state = replace(state, started_at=before.started_at)
        if what in failing:
            self._write(spec, replace(state, status="failed", health="unhealthy", message="told to fail by NOOP_FAIL"))
            raise RuntimeFailure(
                spec.name, "reconfigure" if what == "reconfigure" else "start", "told to fail by NOOP_FAIL"
            )
        if spec.env.get("NOOP_UNHEALTHY") == "1":
            message = "told to be unhealthy by NOOP_UNHEALTHY"
            self._write(spec, replace(state, status="failed", health="unhealthy", message=message))
            raise RuntimeFailure(spec.name, "health", message)
        if state != before:
            self._write(spec, state)
        return state

    def _sleep(self, spec: AppSpec) -> None:
        try:
            end = time.monotonic() + float(spec.env["NOOP_SLEEP"])
        except ValueError:
            raise RuntimeFailure(spec.name, "start", "NOOP_SLEEP must be a number of seconds") from None
        while (left := end - time.monotonic()) > 0:
            if self.context.cancelled():
                raise Superseded(f"{spec.name}: a newer desired state waits")
            time.sleep(min(left, 0.05))

    def _state(self, spec: AppSpec, *, digest_text: str) -> AppState:
        return AppState(
            name=spec.name,
            version=spec.version,
            revision=spec.revision,
            digest=digest_text,
            status="running",
            health="healthy",
            node=self.context.node,
            started_at=datetime.now(UTC),
            depends_on=spec.depends_on,
            isolation=spec.isolation,
            description=spec.description,
            icon=spec.icon,
        )

    def _write(self, spec: AppSpec, state: AppState) -> None:
        kept = _Kept(state, "remove" in _failing(spec))
        self._shelf.put({spec.name: _encoder.encode(kept)})


def _runs_like(one: AppState, other: AppState) -> bool:
    return Digest.parse(one.digest).runs_like(Digest.parse(other.digest))


def _failing(spec: AppSpec) -> set[str]:
    return {word.strip() for word in spec.env.get("NOOP_FAIL", "").split(",")}
