"""One change to one app on this node: deploy, upgrade, reconfigure, remove, repair, roll back.

Every body may be repeated after a crash at any line: runtimes are idempotent, and what is written to Redis is
written with the end of the step. An upgrade that fails after the switch is rolled back here; that is an
outcome of its own, never a success.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from celeriac.errors import CeleriacError
from celeriac.process import CommandCancelledError
from reconciler import ledger
from reconciler.consequences import classify
from reconciler.crashes import WATCHED
from reconciler.engine import Engine
from reconciler.hooks import Hooking
from reconciler.recording import Attempt
from reconciler.work import Work, outdated
from runtimes.base import Runtime, RuntimeFailure, Superseded
from runtimes.logs import tail
from sources import release_dir
from specs.appstate import AppState
from specs.model import HOOK_LOG, AppSpec
from state.events import Event
from state.steps import Claim, Step
from state.unavailable import StateUnavailable

_LAST_LINES = 5


class SpecMissing(CeleriacError):  # noqa: N818 - a condition, not a fault
    """The spec that a step names is neither in this node's vault nor in Git any more."""

    reason = "SpecMissing"


def apply(engine: Engine, claim: Claim) -> Work:
    """Carry out the change that a step names."""
    step = claim.step
    attempt = Attempt(engine, claim, engine.clock())
    engine.tell(attempt.start())  # Redis was told by the claim
    if not step.payload.get("manual") and outdated(step, claim.desired):
        return attempt.superseded("given up before it began: a newer desired state waits")
    if not step.payload.get("manual") and claim.suspended:
        return attempt.superseded("given up before it began: it was suspended since it was planned")
    try:
        return _carry_out(engine, step, attempt)
    except StateUnavailable:  # nothing that the app is to blame for: the step is given back
        raise
    except (Superseded, CommandCancelledError) as error:
        return attempt.superseded(classify(error).message)
    except Exception as error:  # noqa: BLE001 - a fault of ours, too, is remembered of the app, which is tried again
        if isinstance(error.__cause__, StateUnavailable):  # Redis went away in the middle of a build
            raise error.__cause__ from None
        return attempt.failed(error, _observed(engine, step.app))


def _carry_out(engine: Engine, step: Step, attempt: Attempt) -> Work:
    if step.task == "remove":
        engine.runtime.remove(step.app)
        return attempt.removed()
    if step.action == "restart":
        return attempt.brought(_restart(engine, step), None)
    if step.task == "rollback" and step.digest:
        return _take_back(engine, step, attempt)
    if step.task == "rollback":
        spec = _earlier(engine, step)
        return _upgrade(engine, engine.runtime_for(spec), spec, step, attempt)
    spec = _spec(engine, step)
    runtime = engine.runtime_for(spec)
    hooking = Hooking(engine, attempt.claim, spec, runtime)
    attempt.hooks += hooking.before()
    if step.task == "upgrade":
        return _upgrade(engine, runtime, spec, step, attempt, hooking)
    state, adopted = _brought(runtime, spec, step)
    attempt.hooks += hooking.after()
    return attempt.brought(state, spec, adopted)


def _brought(runtime: Any, spec: AppSpec, step: Step) -> tuple[AppState, str]:
    """Have the runtime do what the step says; the state, and the old name where one was taken over."""
    if step.action == "adopt" and hasattr(runtime, "adopt"):
        return runtime.adopt(spec, spec.renamed_from), spec.renamed_from
    if step.action == "adopt":
        state = runtime.deploy(spec)
        runtime.remove(spec.renamed_from)
        return state, spec.renamed_from
    if step.action == "record" and hasattr(runtime, "record"):
        return runtime.record(spec), ""
    if step.task == "reconfigure":
        return runtime.reconfigure(spec), ""
    return runtime.deploy(spec), ""


def _upgrade(
    engine: Engine, runtime: Runtime, spec: AppSpec, step: Step, attempt: Attempt, hooking: Hooking | None = None
) -> Work:
    """Upgrade; when the new release does not become healthy, bring back the one before."""
    try:
        state = runtime.upgrade(spec, step.from_version)
    except RuntimeFailure as error:
        if error.step == "build":  # nothing of the app has changed
            raise
        old = engine.spec(step.app, step.from_digest)
        if old is None:
            raise
        return _roll_back(engine, runtime, old, spec, attempt, error)
    if hooking is not None:
        attempt.hooks += hooking.after()
    return attempt.brought(state, spec)


def _take_back(engine: Engine, step: Step, attempt: Attempt) -> Work:
    """Bring back what an upgrade replaced that went well and failed soon after."""
    spec = _spec(engine, step)
    seen = _observed(engine, step.app)
    said = (seen.message if seen is not None and seen.status == "failed" else "") or step.payload.get("detail", "")
    message = f"its processes ended again and again within {WATCHED / 60:.0f} minutes of the upgrade"
    printed = [line.text for line in tail(engine.settings.home, step.app, _LAST_LINES) if line.process != HOOK_LOG]
    why = RuntimeFailure(
        step.app,
        "start",
        f"{message}: {said}" if said else message,
        output=[line for line in printed if line not in said],
        reason="CrashLoop",
    )
    return attempt.taken_back(engine.runtime_for(spec).upgrade(spec, step.from_version), why)


def _roll_back(
    engine: Engine, runtime: Runtime, old: AppSpec, spec: AppSpec, attempt: Attempt, why: RuntimeFailure
) -> Work:
    start = attempt.event("rollback.start", engine.clock(), error=classify(why).reason)
    engine.emit(start)
    try:
        state = runtime.upgrade(old, spec.version)
    except RuntimeFailure as error:
        message = f"{why.message}; the roll-back to {old.version} failed as well: {error.message}"
        both = RuntimeFailure(
            spec.name, error.step, message, output=why.output or error.output, reason="RollbackFailed", hint=error.hint
        )
        return attempt.failed(
            both,
            _observed(engine, spec.name),
            also=(_ended(start, engine.clock(), "failed", attempt.verdict(error).message),),
        )
    return attempt.rolled_back(state, why, spec.version, also=(_ended(start, engine.clock(), "ok"),))


def _ended(start: Event, now: float, result: str, error: str = "") -> Event:
    return replace(start, name="rollback.stop", time=now, duration=now - start.time, result=result, error=error)


def _spec(engine: Engine, step: Step) -> AppSpec:
    spec = engine.spec(step.app, step.digest, step.revision)
    if spec is None:
        raise SpecMissing(
            f"{step.app}: the spec {step.digest[:16]} is not on this node and no longer in Git",
            hint="celeriac sync plans anew",
        )
    return spec


def _earlier(engine: Engine, step: Step) -> AppSpec:
    """What a roll-back by hand goes back to: of what was in force here, something whose release is still there.

    So it needs neither a source nor a build, and is quick.
    """
    wanted = step.payload.get("to") or None
    state = _observed(engine, step.app)
    builds = state is None or bool(state.path)  # a runtime without releases can always bring back what there was
    entries = [entry for entry in engine.ledger.of(step.app) if not builds or _is_kept(engine, step.app, entry)]
    found = ledger.before(entries, step.from_digest, wanted)
    spec = engine.vault.get(found.digest) if found else None
    if spec is None:
        known = ", ".join(dict.fromkeys(entry.version for entry in entries if entry.digest != step.from_digest))
        what = f"version {wanted}" if wanted else "earlier release"
        raise RuntimeFailure(
            step.app,
            "rollback",
            f"{step.node} has no {what} of {step.app}",
            reason="NoSuchRelease",
            hint=f"it has: {known}" if known else "nothing was in force here before",
        )
    return spec


def _is_kept(engine: Engine, app: str, entry: ledger.Entry) -> bool:
    """Whether the release of what was in force is still there."""
    name = engine.release_of(entry)
    return bool(name) and (release_dir(engine.settings.home, app, name) / "release.json").is_file()


def _restart(engine: Engine, step: Step) -> AppState:
    runtime: Any = engine.runtime
    if hasattr(runtime, "restart"):
        state: AppState = runtime.restart(step.app)
        return state
    spec = _spec(engine, step)
    runtime.remove(step.app)
    return engine.runtime.deploy(spec)


def _observed(engine: Engine, app: str) -> AppState | None:
    """What runs of an app after a failure; None when that cannot be told, or nothing does."""
    with contextlib.suppress(CeleriacError):
        one: Any = getattr(engine.runtime, "current", None)
        return one(app) if one is not None else engine.runtime.current_state().get(app)
    return None
