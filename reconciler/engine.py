"""What every step of the pipeline works with: settings, Redis, the mirror, the vault, the runtime, events.

One Engine per process. It knows no Celery: how steps are sent to workers and how results are
stored is given to it (`publish`, `answer`), and so is who else hears of events (`listeners`).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from celeriac.errors import CeleriacError
from reconciler.keeper import Keeper
from reconciler.ledger import Entry
from reconciler.parts import Parts
from runtimes.base import Runtime, RuntimeContext
from runtimes.isolation import DEFAULT, refuse_isolation
from runtimes.registry import load_runtime
from sources import build, prune_releases, read_manifest, resolve_processes
from specs.digest import release_id
from specs.formats import MAX_BYTES
from specs.loader import load
from specs.model import AppSpec
from specs.repository import Mirror
from state.events import Event
from state.steps import Claim, Step

Publish = Callable[[str, Sequence[Step]], None]
Answer = Callable[[str, Mapping[str, Any]], None]


@dataclass
class Attending:
    """What the runtime is told and asked while this process is at one step. `phases` are those told, with times."""

    show: Callable[[str], None] = lambda phase: None
    cancelled: Callable[[], bool] = lambda: False
    claim: Claim | None = None
    phases: list[tuple[str, float]] = field(default_factory=list)

    def report(self, phase: str) -> None:
        """Take note of a phase that begins, and show it."""
        self.phases.append((phase, time.monotonic()))
        self.show(phase)


@dataclass
class Engine(Parts):
    """The parts, made when first used. Everything here may be used after a fork, by the child that made it."""

    publish: Publish = lambda run, steps: None
    answer: Answer = lambda request, record: None
    listeners: list[Callable[[Event], None]] = field(default_factory=list)
    fault: Callable[[Exception, Claim], None] = lambda error, claim: None
    attending: Attending = field(default_factory=Attending)

    @cached_property
    def keeper(self) -> Keeper:
        """Renews the leases of the steps that this process is at."""
        return Keeper(self.runs, self.settings.lease)

    @cached_property
    def mirror(self) -> Mirror:
        """The mirror of the repository. Raises SettingsError when none is set."""
        return Mirror(self.settings.require_repo(), self.settings.branch, self.settings.home)

    @cached_property
    def runtime(self) -> Runtime:
        """The runtime of this node. Its reports go to whatever step this process is at."""
        home = self.settings.home
        context = RuntimeContext(
            home=home,
            node=self.settings.node,
            build=self.release,
            report=lambda phase: self.attending.report(phase),
            cancelled=lambda: self.attending.cancelled(),
            keep_releases=self.settings.keep_releases,
            cgroups=self.settings.cgroups == "auto",
            resolve=lambda spec, release: resolve_processes(spec, release),
            tell=lambda name, spec, extra: self.emit(self._about(name, spec, **extra)),
        )
        return load_runtime(self.settings.runtime, context)

    def runtime_for(self, spec: AppSpec) -> Runtime:
        """The runtime, if it hosts apps of that isolation; else RuntimeFailure."""
        refuse_isolation(spec, getattr(self.runtime, "isolations", DEFAULT), self.settings.runtime)
        return self.runtime

    def spec(self, name: str, digest: str, revision: str = "") -> AppSpec | None:
        """The whole spec with that digest: from the vault, else read again from the mirror; None when gone."""
        found = self.vault.get(digest) or self._read_again(name, digest)
        return replace(found, revision=revision) if found is not None and revision else found

    def forget_releases(self, app: str, *names: str) -> None:
        """Remove releases of `app` beyond those that are kept: the newest, those last in force, and `names`."""
        keep = max(self.settings.keep_releases, 1)
        in_force = dict.fromkeys(filter(None, map(self.release_of, self.ledger.of(app))))
        prune_releases(self.settings.home, app, keep, protect=[*names, *list(in_force)[:keep]])

    def release_of(self, entry: Entry) -> str:
        """The name of the release folder that an entry of the ledger ran from; empty when that is not known."""
        if entry.release:
            return entry.release
        spec = self.vault.get(entry.digest)
        return release_id(spec) if spec is not None else ""

    def emit(self, event: Event, pipe: Any = None) -> None:
        """Let everybody know of `event`: Redis (with `pipe`, as part of it), signals, logs."""
        stamped = event if event.time else replace(event, time=self.clock())
        self.events.emit(stamped, pipe=pipe)
        self.tell(stamped)

    def tell(self, event: Event) -> None:
        """Let those in this process know of an event."""
        for listener in self.listeners:
            listener(event)

    def clock(self) -> float:
        """This machine's clock, for what people read; machines are compared by that of Redis, `store.now()`."""
        return time.time()

    def owner(self) -> str:
        """A name for one delivery of one message to this process; no two are equal."""
        return f"{self.settings.node}:{os.getpid()}:{secrets.token_hex(4)}"

    def release(self, spec: AppSpec) -> Path:
        """The complete release folder of `spec`, built unless it is there. Nothing is told of one that is."""
        started: list[Event] = []

        def report(phase: str) -> None:
            if not started:
                started.append(self._about("build.start", spec))
                self.emit(started[0])
            self.attending.report(phase)

        try:
            release = build(spec, self.settings.home, report=report, cancelled=lambda: self.attending.cancelled())
        except CeleriacError as error:
            self._build_ended(started, "failed", error.reason)
            raise
        manifest = read_manifest(release)
        beside = manifest.server if manifest is not None else ""
        note = {"server": beside, "note": f"it brings no server: {beside} was installed beside it"} if beside else {}
        self._build_ended(started, "ok", **note)
        return release

    def _build_ended(self, started: list[Event], result: str, error: str = "", **note: str) -> None:
        if started:
            now = self.clock()
            stop = replace(started[0], name="build.stop", time=now, duration=now - started[0].time)
            self.emit(replace(stop, result=result, error=error, extra={**stop.extra, **note}))

    def _about(self, name: str, spec: AppSpec, **extra: Any) -> Event:
        run = self.attending.claim.run if self.attending.claim else ""
        return Event(
            name, self.clock(), app=spec.name, node=self.settings.node, revision=spec.revision, run=run,
            extra={"version": spec.version, **extra},
        )  # fmt: skip

    def _read_again(self, name: str, digest: str) -> AppSpec | None:
        """Parse the app's file once more, on a node whose vault does not have it."""
        app = self.desired.app(name)
        if app is None or app.digest != digest or not self.settings.repo_url:
            return None
        head = self.desired.head()
        if head is not None and not self.mirror.has(head.revision):
            self.mirror.fetch()
        blob = self.mirror.read([app.blob], MAX_BYTES).get(app.blob)
        loaded = load(app.path, blob, app.folder) if blob is not None else None
        if loaded is None or loaded.spec is None:
            return None
        self.vault.put(loaded.spec)
        return self.vault.get(digest)
