"""The public API (DESIGN section 6), re-exported by `tasks`: what the command line, pages and users' scripts call.

What reads imports neither Celery nor Git, and answers from Redis. What changes something asks for a run and
returns `{"run", "started"}` at once; `wait` waits for its end.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from celeriac.errors import CeleriacError, MisuseError
from celeriac.settings import load
from reconciler.known import known as read_known
from reconciler.parts import Parts
from reconciler.status import document, standings_of, status_of, time_text
from reconciler.why import explain
from state.holds import Suspension
from tasks import documents

if TYPE_CHECKING:
    from specs.appstate import AppState
    from specs.model import AppSpec

__all__ = [
    "UnknownApp", "app_status", "current_state", "deploy", "desired_state", "events", "follow_events", "follow_logs",
    "history", "logs", "nodes", "plan", "remove", "request_sync", "restart", "resume", "rollback", "run_following",
    "run_progress", "run_record", "status", "suspend", "upgrade", "wait", "why",
]  # fmt: skip


class UnknownApp(MisuseError):  # noqa: N818 - a condition, not a fault
    """There is no app of that name, neither in Git nor running."""

    reason = "UnknownApp"


_parts: dict[str, Parts] = {}


def _here() -> Parts:
    """What is read from, for the settings in force now."""
    settings = load()
    key = repr((settings.redis_address, settings.key_prefix, settings.home, settings.node, settings.repo_url))
    if key not in _parts:
        _parts.clear()
        _parts[key] = Parts(settings)
    return _parts[key]


# What is


def status() -> dict[str, Any]:
    """How everything stands, in the shape of DESIGN section 6."""
    return status_of(read_known(_here()))


def trouble() -> str:
    """What is wrong with the repository as a whole, which no app can tell; empty when nothing is."""
    remote = _here().desired.remote()
    return "" if remote is None or remote.ok else f"{remote.reason}: {remote.message}"


def desired_state() -> dict[str, dict[str, Any]]:
    """Each app as Git says, without its environment and commands."""
    return {name: documents.desired_document(app) for name, app in _here().desired.apps().items()}


def current_state() -> dict[str, dict[str, Any]]:
    """app → node → state, as last observed."""
    return documents.live_document(_here().live.states())


def app_status(name: str) -> dict[str, Any]:
    """Everything known of one app. Raises UnknownApp."""
    here = _here()
    known = read_known(here)
    standing = standings_of(known).get(name)
    if standing is None:
        raise _unknown(name)
    app = known.apps.get(name)
    state = standing.state
    return {
        "name": name,
        **document(app, standing),
        "description": app.description if app else state.description if state else "",
        "icon": _icon(name, app.icon if app else state.icon if state else None),
        "isolation": app.isolation if app else "",
        "limits": dict(state.limits) if state else {},
        "strategy": app.strategy if app else "",
        "path": app.path if app else "",
        "release": state.path if state else "",
        "revision": state.revision if state else "",
        "digest": state.digest if state else "",
        "drift": state.drift if state else "",
        "desired_digest": app.digest if app else "",
        "problems": [str(problem) for problem in app.problems] if app else [],
        "observed_at": time_text(max((known.observed.get(n, 0.0) for n in known.live.get(name, {})), default=0.0)),
        "nodes": documents.live_document({name: known.live.get(name, {})}).get(name, {}),
    }


def why(name: str) -> dict[str, Any]:
    """Why an app is as it is, what happens next, and what it printed last. Raises UnknownApp."""
    here = _here()
    known = read_known(here)
    standing = standings_of(known).get(name)
    if standing is None:
        raise _unknown(name)
    outcomes = [outcome for (app, _), outcome in known.outcomes.items() if app == name]
    told = document(known.apps.get(name), standing)
    revision = known.head.revision if known.head else ""
    return {
        "app": name,
        **{field: told[field] for field in ("sync", "status", "health", "reason", "message")},
        **explain(name, known.apps.get(name), standing, outcomes, known.now, revision),
        "log": _tail(here, name, 10) if standing.sync != "synced" or standing.reason else [],
    }


def nodes() -> list[dict[str, Any]]:
    """The machines that take part."""
    return [documents.node_document(node) for node in _here().nodes.all().values()]


def history(name: str) -> list[dict[str, Any]]:
    """What was changed of an app, newest first. Raises UnknownApp."""
    here = _here()
    changes = here.history.of(name)
    if not changes:
        _known_app(here, name)
    return [documents.change_document(change) for change in changes]


def events(count: int = 100, app: str | None = None) -> list[dict[str, Any]]:
    """The last `count` events, of one app or of all, oldest first."""
    return [documents.event_document(event) for event in _here().events.last(count, app)]


def follow_events(timeout: float | None = None) -> Iterator[dict[str, Any]]:
    """Each event from now on, as it comes; ends after `timeout` seconds without one."""
    for event in _here().events.follow(timeout=timeout):
        yield documents.event_document(event)


def logs(name: str, lines: int = 100, process: str | None = None) -> list[dict[str, str]]:
    """The last lines that an app printed on this machine, oldest first. Raises UnknownApp."""
    here = _here()
    found = _tail(here, name, lines, process)
    if not found:
        _known_app(here, name)
    return found


def follow_logs(name: str, process: str | None = None, lines: int = 0) -> Iterator[dict[str, str]]:
    """The last `lines` lines of each process of an app on this machine, then each that it prints from now on."""
    from runtimes.logs import follow

    for line in follow(_here().settings.home, name, process=process, lines=lines):
        yield {"process": line.process, "line": line.text}


def plan(revision: str | None = None, live: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a sync would do: for another `revision`, or against an exported live state. Changes nothing."""
    from tasks.planning import planned

    return planned(_here(), revision, live)


# Runs


def run_record(run: str) -> dict[str, Any] | None:
    """The record of a run that has ended; None while it goes on, or when it is not known."""
    here = _here()
    record = here.runs.record(run)
    if record is None and run in here.runs.unanswered():
        return None
    return record


def run_progress(run: str) -> dict[str, Any] | None:
    """How far a run is; None when it is not open."""
    from reconciler.finish import progress_of

    here = _here()
    found = here.runs.get(run)
    return progress_of(found, here.runs.steps(run)) if found is not None else None


def run_following(run: str) -> str:
    """The run that does what was asked for during `run`, once that has ended; empty before, or where nothing was."""
    return _here().runs.following(run)


def wait(run: str, timeout: float = 600.0) -> dict[str, Any]:
    """Wait until a run has ended; its record. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while True:
        record = run_record(run)
        if record is not None:
            return record
        if time.monotonic() > deadline:
            raise TimeoutError(f"run {run} has not ended within {timeout:g}s")
        time.sleep(0.05)


def request_sync(
    force: bool = False, app: str | None = None, allow_removals: str | None = None, plan: str | None = None
) -> dict[str, Any]:
    """Ask for a sync; `started` is false when one goes on, which another then follows. Raises UnknownApp."""
    from reconciler.asking import ask_for_sync
    from tasks.engine import engine

    if app:
        _known_app(_here(), app)
    asked = ask_for_sync(engine(), "hand", force=force, app=app, allow_removals=allow_removals, plan=plan)
    return {"run": asked.run, "started": asked.started}


# By hand


def rollback(name: str, to: str | None = None) -> dict[str, Any]:
    """Go back to the release before, or to version `to`, until the spec changes. Raises UnknownApp."""
    from tasks import by_hand

    return by_hand.rollback(_here(), _running(name), name, to)


def restart(name: str) -> dict[str, Any]:
    """Stop and start an app as it is. Raises UnknownApp."""
    from tasks import by_hand

    return by_hand.restart(_running(name), name)


def remove(name: str) -> dict[str, Any]:
    """Take an app off its nodes. While it is in Git the next sync brings it back. Raises UnknownApp."""
    from tasks import by_hand

    return by_hand.remove(_running(name), name)


def deploy(spec: AppSpec | Mapping[str, Any]) -> dict[str, Any]:
    """Deploy an app by hand, from this node; it is kept so until its spec in Git changes."""
    from tasks import by_hand

    return by_hand.deploy(_here(), spec)


def upgrade(name: str, version: str) -> dict[str, Any]:
    """Move an app to another version by hand; it stays there until its spec changes. Raises UnknownApp."""
    from tasks import by_hand

    return by_hand.upgrade(_here(), _running(name), name, version)


def suspend(name: str | None = None, until: float | None = None, reason: str = "") -> None:
    """Leave an app, or everything, as it is until `until` (seconds since the epoch) or `resume`. Raises UnknownApp."""
    here = _here()
    if name is not None:
        _known_app(here, name)
    now = here.store.now()
    here.holds.suspend(name, Suspension(until or 0.0, reason, now))
    if until:
        here.due.schedule(f"suspension:{name or '*'}", until)


def resume(name: str | None = None) -> None:
    """Take an app, or everything, up again. Raises UnknownApp."""
    here = _here()
    if not here.holds.resume(name) and name is not None:
        _known_app(here, name)
    here.due.schedule("resumed", here.store.now())


def _running(name: str) -> dict[str, AppState]:
    """Where an app runs. Raises UnknownApp, and MisuseError when it runs nowhere."""
    here = _here()
    states = here.live.app(name)
    if not states:
        _known_app(here, name)
        raise MisuseError(f"{name} runs nowhere", hint=f"see why: celeriac why {name}")
    return states


def _known_app(here: Parts, name: str) -> None:
    if here.desired.digest(name) is None and not here.live.app(name):
        raise _unknown(name)


def _unknown(name: str) -> UnknownApp:
    from specs.names import did_you_mean

    hint = ""
    with contextlib.suppress(CeleriacError):
        hint = did_you_mean(name, _here().desired.digests()).strip()
    return UnknownApp(f"there is no app {name!r}", hint=hint or "see them all: celeriac status")


def _tail(here: Parts, name: str, lines: int, process: str | None = None) -> list[dict[str, str]]:
    from runtimes.logs import tail

    return [{"process": line.process, "line": line.text} for line in tail(here.settings.home, name, lines, process)]


def _icon(name: str, icon: Any) -> dict[str, str]:
    from specs.identicon import identicon_svg

    if icon is None or icon.type == "identicon":
        return {"type": "identicon", "value": identicon_svg(name), "mime_type": "image/svg+xml"}
    return {"type": icon.type, "value": icon.value, "mime_type": icon.mime_type}
