"""The periodic health checks of this node: all that are due, at once, each in its own interval.

What a check finds is kept by the runtime, which tells it in the state it observes; here is only when to ask.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celeriac.errors import CeleriacError
from reconciler.engine import Engine
from specs.appstate import AppState
from specs.model import AppSpec
from state.health import HealthRecord

_AT_ONCE = 16


def check(engine: Engine) -> int:
    """Ask every app of this node whose interval has passed; return how many. Runtimes that ask nobody have none."""
    ask: Any = getattr(engine.runtime, "check", None)
    if ask is None:
        return 0
    node = engine.settings.node
    live = engine.live.node(node)
    known = engine.health.of(node)
    now = engine.clock()
    specs = {name: engine.vault.get(state.digest) for name, state in live.items() if state.status == "running"}
    wanted = due_checks(specs, known, live, now)
    if not wanted:
        return 0
    with ThreadPoolExecutor(min(_AT_ONCE, len(wanted))) as pool:
        found = dict(
            pool.map(lambda spec: (spec.name, _ask(ask, spec, known.get(spec.name), live[spec.name].digest)), wanted)
        )
    engine.health.write(node, found, [name for name in known if name not in live])
    return len(found)


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
            or record.digest != live[name].digest
            or live[name].health == "unknown"
            or now - record.checked_at >= spec.health.interval
        )
    ]


def _ask(ask: Any, spec: AppSpec, before: HealthRecord | None, digest: str) -> HealthRecord:
    try:
        result = ask(spec)
        ok, message = bool(result.ok), str(result.message)
    except CeleriacError as error:
        ok, message = False, error.message
    failures = 0 if ok else (before.failures if before is not None else 0) + 1
    return HealthRecord(ok, failures, time.time(), "" if ok else message, digest)
