"""The answer to `celeriac why`: what happened to an app, in sentences, and what happens next. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.planning import suspended_until
from reconciler.status import Standing
from specs.desired import DesiredApp
from specs.model import HOOK_LOG
from state.outcomes import POST_DEPLOY_FAILED, Outcome

_OUT_OF_MEMORY = "OutOfMemory"
_FIX = {
    "Invalid": "correct the spec and push; until then the app keeps running as it is",
    "Suspended": "celeriac resume{app}",
    "HeldByHand": "it stays so until its spec in Git changes",
    "RemovalBudget": "look at the commit; then celeriac sync --allow-removals {revision}",
    "AppsFolderMissing": "commit the apps folder, or set CELERIAC_APPS_DIR; if all are to go: "
    "celeriac sync --allow-removals {revision}",
    "PruneOff": "celeriac remove {name}, if it should go",
    "StillNeeded": "correct the spec of the app that needs it",
    "NotObserved": "see that the node's worker runs: celeriac nodes",
    "NodeDown": "start the node's worker again: celeriac nodes; or let it move: placement.failover",
    "NoNode": "see which nodes there are: celeriac nodes; or change its placement",
    "SyncWindow": "it is done by itself when the window opens; now with: celeriac sync --force --app {name}",
    "GoneFromGit": "the next sync removes it",
    "Renamed": "see to the app that takes over; this one goes when that is healthy",
    "HealthUnknown": "the next health check tells",
}


def explain(
    name: str,
    app: DesiredApp | None,
    standing: Standing,
    outcomes: Iterable[Outcome],
    now: float,
    revision: str = "",
) -> dict[str, Any]:
    """The explanation and the next thing to do, for an app that stands so."""
    bad = next((o for o in outcomes if o.result in ("failed", "rolled_back")), None)
    return {
        "explanation": _explanation(name, app, standing, bad),
        "next": _next(name, app, standing, bad, now, revision),
    }


def _explanation(name: str, app: DesiredApp | None, standing: Standing, bad: Outcome | None) -> str:
    runs = standing.state
    if standing.reason == _OUT_OF_MEMORY and runs is not None and runs.status == "running" and bad is None:
        return f"{name} {runs.version} used more memory than it may, was killed for that, and was started again."
    if standing.reason == POST_DEPLOY_FAILED:
        return f"{name} {runs.version if runs else ''} runs as Git says and is healthy; its post_deploy failed."
    if standing.sync == "synced":
        return f"{name} {runs.version if runs else ''} runs as Git says and is healthy."
    if app is None:
        return f"{name} is gone from Git but still runs."
    if standing.reason == "RolledBack" and bad is not None:
        return f"{name} was moved to {bad.version}, which failed; it was rolled back."
    if bad is not None and standing.sync == "out_of_sync":
        times = f" {bad.attempts} times" if bad.attempts > 1 else ""
        return f"The {bad.action} of {name} to {bad.version} on {bad.node} failed{times}."
    if standing.sync == "blocked":
        return f"{name} {standing.message or 'waits for an app that is not healthy'}."
    if standing.sync == "invalid":
        return f"The spec of {name} is not valid, so {name} is left as it is."
    if standing.sync == "suspended":
        return f"{name} is suspended, so it is left as it is."
    if runs is None:
        return f"{name} {app.version} is desired and does not run yet."
    if runs.version != app.version:
        return f"{name} runs {runs.version}, Git says {app.version}."
    return f"{name} is not as Git says."


def _next(name: str, app: DesiredApp | None, standing: Standing, bad: Outcome | None, now: float, revision: str) -> str:
    if standing.reason == _OUT_OF_MEMORY:
        raised = f"raise limits.memory in {app.path if app else 'its spec'} and push, if it needs more"
        retried = _retry(bad, now) if bad is not None and standing.sync == "out_of_sync" else ""
        return "; ".join(filter(None, (raised, f"else see what it keeps: celeriac logs {name}", retried)))
    if standing.reason == POST_DEPLOY_FAILED:
        return f"see what it said: celeriac logs {name} -p {HOOK_LOG}; it is run again with the next version"
    if standing.sync == "synced":
        return ""
    if standing.sync == "suspended" and app is not None and _suspended_in_spec(app, now):
        return f"take suspend out of {app.path} and push"
    advice = _FIX.get(standing.reason)
    if advice:
        whole = standing.message.startswith("everything")
        return advice.format(name=name, app="" if whole else f" {name}", revision=revision[:12])
    if bad is not None and standing.sync == "out_of_sync":
        return _retry(bad, now)
    if standing.sync == "blocked":
        return "see to the app that it waits for; it follows by itself"
    return "the next sync sees to it; at once with: celeriac sync"


def _retry(bad: Outcome, now: float) -> str:
    wait = bad.not_before - now
    if wait > 30 * 86400:
        return "correct its spec and push; it is not tried again before that"
    when = f"in {_span(wait)}" if wait > 0 else "with the next sync"
    return f"next try {when}, or at once when its spec changes or with: celeriac sync --force"


def _suspended_in_spec(app: DesiredApp, now: float) -> bool:
    """Whether the spec itself suspends the app now, which `celeriac resume` does not end."""
    until = suspended_until(app)
    return app.suspend is not None and (not until or until > now)


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(seconds, 1):.0f} s"
