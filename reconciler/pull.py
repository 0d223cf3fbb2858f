"""The pull: is there anything to do? One `git ls-remote`; a fetch when the revision is new, and then parse and diff.

An unreachable remote ends the run with an error, an event and a status; the last good revision stays in force.
"""

from __future__ import annotations

from dataclasses import replace

from celeriac.errors import CeleriacError
from reconciler.engine import Engine
from reconciler.steps import diff_step, observe_step, parse_step
from reconciler.work import Work
from specs.git_command import GitError
from specs.repository import RepositoryError
from state.desired import RemoteStatus
from state.events import Event
from state.steps import Claim, StepOutcome


def pull(engine: Engine, claim: Claim) -> Work:
    """Look at the remote, fetch what is new, and say which steps follow."""
    began = engine.clock()
    try:
        revision = engine.mirror.remote_revision()
    except (RepositoryError, GitError) as error:
        return _unreachable(engine, claim, error, began)
    head = engine.desired.head()
    now = engine.store.now()
    due = engine.due.due(now)
    alive = [name for name, node in engine.nodes.all().items() if node.alive]
    observed = engine.live.observed()
    unknown = [name for name in alive if name not in observed]
    fresh = head is None or head.revision != revision or head.branch != engine.settings.branch
    effects = engine.store.pipeline()
    seen = engine.clock()
    engine.desired.set_remote(RemoteStatus(True, seen, revision), pipe=effects)
    if not fresh and not due and not unknown and not _asked(claim):
        return Work(facts={"revision": revision, "idle": True}, effects=effects)
    engine.due.clear_until(now, pipe=effects)
    events = [Event("reconcile.start", began, revision=revision, run=claim.run, extra={"trigger": _trigger(claim)})]
    if fresh:
        engine.attending.report("fetching")
        revision, told = _fetch(engine, revision, claim.run)
        events += told
    follow = [observe_step(node) for node in unknown]
    needs = [step.id for step in follow]
    since = head.revision if head else ""
    follow.append(parse_step(revision, needs, since) if fresh else diff_step(revision, needs or ["pull"]))
    pulled = Event(
        "git.pull", seen, revision=revision, run=claim.run, result="ok", duration=engine.clock() - began,
        extra={"changed": fresh},
    )  # fmt: skip
    return Work(
        add=follow,
        facts={"revision": revision, "fetch_seconds": engine.clock() - began},
        effects=effects,
        events=(*events, pulled),
    )


def remember_remote(engine: Engine, error: CeleriacError) -> None:
    """Say in the status why the remote cannot be used, and in an event when that is news."""
    before = engine.desired.remote()
    now = engine.clock()
    engine.desired.set_remote(RemoteStatus(False, now, "", error.reason, error.message))
    if before is None or before.ok or before.reason != error.reason:
        engine.emit(Event("git.pull", now, result="failed", error=f"{error.reason}: {error.message}"))


def _fetch(engine: Engine, expected: str, run: str) -> tuple[str, list[Event]]:
    """The revision that was fetched (it may be newer than `expected`), and what there is to tell of a new mirror."""
    began = engine.clock()
    fetched = engine.mirror.fetch()
    if not (fetched.cloned or fetched.rebuilt):
        return fetched.revision, []
    start = Event("git.clone_start", began, revision=expected, run=run)
    stop = replace(
        start,
        name="git.clone_stop",
        time=engine.clock(),
        revision=fetched.revision,
        result="rebuilt" if fetched.rebuilt else "ok",
        duration=fetched.seconds,
    )
    return fetched.revision, [start, stop]


def _unreachable(engine: Engine, claim: Claim, error: CeleriacError, began: float) -> Work:
    before = engine.desired.remote()
    news = before is None or before.ok or before.reason != error.reason
    remember_remote(engine, error)
    text = f"{error.reason}: {error.message}"
    if news:
        engine.fault(error, claim)
        engine.emit(Event("reconcile.error", engine.clock(), run=claim.run, result="failed", error=text))
    # What is due and what was asked for by hand still stands: the desired state that is known can be kept.
    head = engine.desired.head()
    now = engine.store.now()
    due = engine.due.due(now)
    if head is not None and (due or _asked(claim)):
        effects = engine.store.pipeline()
        engine.due.clear_until(now, pipe=effects)
        return Work(
            add=[diff_step(head.revision, ["pull"])],
            facts={"revision": head.revision, "error": text},
            effects=effects,
        )
    return Work(
        StepOutcome("failed", error.reason, error.message),
        facts={"error": text, "idle": not news and not _asked(claim)},
    )


def _asked(claim: Claim) -> bool:
    """Whether somebody wants more than a look: anything but beat's tick, or a tick with options."""
    return any(ask.trigger != "beat" or ask.options for ask in claim.asks)


def _trigger(claim: Claim) -> str:
    return claim.asks[0].trigger if claim.asks else ""
