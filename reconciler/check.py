"""The periodic health checks of this node: all that are due, at once, each in its own interval.

What a check finds is kept by the runtime, which tells it in the state it observes; here is only when to ask. Several
may be at it at a time: an app that answers slowly is asked once, and holds up no other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from celeriac.errors import CeleriacError
from reconciler.engine import Engine
from specs.appstate import AppState
from specs.model import AppSpec
from state.health import HealthRecord

_AT_ONCE = 16
_CHOOSING = 10.0  # seconds that choosing whom to ask may take
_LATE = 5.0  # seconds beyond its time-out after which nobody is asking an app any more


def check(engine: Engine) -> int:
    """Ask every app of this node whose interval has passed; return how many. Runtimes that ask nobody have none.

    A runtime that looks after its releases is given some time for that, too.
    """
    asked = ask_those_due(engine)
    verify: Any = getattr(engine.runtime, "verify", None)
    if verify is not None:
        verify()
    return asked


def ask_those_due(engine: Engine) -> int:
    """Ask every app of this node whose interval has passed; return how many."""
    ask: Any = getattr(engine.runtime, "check", None)
    if ask is None:
        return 0
    node = engine.settings.node
    live = engine.live.node(node)
    wanted, known = _chosen(engine, live)
    if not wanted:
        return 0
    with ThreadPoolExecutor(min(_AT_ONCE, len(wanted))) as pool:
        found = dict(
            pool.map(lambda spec: (spec.name, _ask(ask, spec, known.get(spec.name), live[spec.name].digest)), wanted)
        )
    engine.health.write(node, found, [name for name in known if name not in live])
    return len(found)


def _chosen(engine: Engine, live: Mapping[str, AppState]) -> tuple[list[AppSpec], dict[str, HealthRecord]]:
    """Whom to ask, noted down so that nobody else does; and what was known before."""
    node = engine.settings.node
    lease = engine.leases.acquire(f"checks@{node}", engine.owner(), _CHOOSING)
    if lease is None:  # another is choosing this very moment
        return [], {}
    try:
        known = engine.health.of(node)
        now = engine.clock()
        specs = {name: engine.vault.get(state.digest) for name, state in live.items() if state.status == "running"}
        wanted = due_checks(specs, known, live, now)
        marks = {s.name: replace(known.get(s.name, HealthRecord(False)), asked_at=now) for s in wanted}
        if marks:
            engine.health.write(node, marks)
        return wanted, known
    finally:
        engine.leases.release(lease)


def due_checks(
    specs: Mapping[str, AppSpec | None],
    known: Mapping[str, HealthRecord],
    live: Mapping[str, AppState],
    now: float,
) -> list[AppSpec]:
    """Whose health is to be asked now. Pure."""
    return [
        spec
        for name, spec in specs.items()
        if spec is not None
        and spec.health is not None
        and (
            (record := known.get(name)) is None
            or (
                not _is_asked(record, spec.health.timeout, now)
                and (
                    record.digest != live[name].digest
                    or live[name].health == "unknown"
                    or now - record.checked_at >= spec.health.interval
                )
            )
        )
    ]


def _is_asked(record: HealthRecord, timeout: float, now: float) -> bool:
    """Whether somebody is asking, or died while at it not long ago."""
    return record.asked_at > record.checked_at and now - record.asked_at < timeout + _LATE


def _ask(ask: Any, spec: AppSpec, before: HealthRecord | None, digest: str) -> HealthRecord:
    try:
        result = ask(spec)
        ok, message = bool(result.ok), str(result.message)
    except CeleriacError as error:
        ok, message = False, error.message
    failures = 0 if ok else (before.failures if before is not None else 0) + 1
    return HealthRecord(ok, failures, time.time(), "" if ok else message, digest)
