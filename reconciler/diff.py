"""The diff: put what was parsed in force, plan, and add a step for each change.

`policy_for` reads everything that a plan depends on; `reconciler.planning.plan` decides, purely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.crashes import is_over
from reconciler.engine import Engine
from reconciler.known import policy_for
from reconciler.parse import unstaged
from reconciler.plan import Held, Plan
from reconciler.planning import Live, plan
from reconciler.policy import Policy
from reconciler.steps import change_step
from reconciler.work import Work
from specs.desired import DesiredApp, assemble
from state.desired import Head
from state.events import Event
from state.steps import Claim, StepOutcome

UNPLANNED = "unplanned"

_LOOK_AGAIN = 12 * 3600.0  # windows can be told further ahead than that


def diff(engine: Engine, claim: Claim) -> Work:
    """Put the parsed files in force and plan what they ask for."""
    began = engine.clock()
    engine.attending.report("planning")
    facts = engine.runs.facts(claim.run)
    parsed = "parse_began" in facts
    if parsed:
        staged = unstaged(engine.runs.staged(claim.run))
        head, apps = put_in_force(
            engine, claim.step.revision, staged, facts["removed"], apps_dir_found=facts["apps_dir_found"]
        )
    else:
        known, apps = engine.desired.snapshot()
        head = known or Head(claim.step.revision)
    live = engine.live.states()
    policy = policy_for(engine, head, apps, live, options=claim.options)
    planned = plan(apps, live, policy)
    pinned = claim.options.get("plan")
    if pinned and pinned != planned.id:
        message = f"plan {pinned} is no longer what a sync would do (that is {planned.id})"
        return Work(StepOutcome("failed", "PlanChanged", f"{message}: look again with celeriac plan"))
    effects = engine.store.pipeline()
    engine.due.clear(UNPLANNED, pipe=effects)
    _note(engine, planned, apps, live, policy, effects)
    events = []
    if parsed:
        invalid = sum(1 for app in apps.values() if app.problems)
        took = began - float(facts["parse_began"])
        events.append(
            Event(
                "parse.stop",
                began,
                revision=head.revision,
                run=claim.run,
                result="invalid" if invalid else "ok",
                duration=max(took, 0.0),
                extra={"apps": len(apps), "invalid": invalid},
            )
        )
    since: dict[str, float] = {}
    if parsed:
        since = {
            "committed_at": head.committed_at,
            "fetch": float(facts.get("fetch_seconds", 0.0)),
            "parse": took,
            "plan": engine.clock() - began,
        }
    told = {"changes": len(planned.changes), "held": len(planned.held), "plan": planned.id}
    start = Event("deps.start", began, revision=head.revision, run=claim.run)
    stop = replace(
        start, name="deps.stop", time=engine.clock(), result="ok", duration=engine.clock() - began, extra=told
    )
    return Work(
        add=[change_step(change, head.revision, since) for change in planned.changes],
        facts={"planned": True, "plan": planned.id, "held": _counted(planned.held), "revision": head.revision},
        effects=effects,
        events=(*events, start, stop),
    )


def _counted(held: Iterable[Held]) -> int:
    """How much is held back that somebody should see to: not what waits as it was told to."""
    return sum(1 for one in held if one.reason not in ("SyncWindow", "Suspended"))


def put_in_force(
    engine: Engine,
    revision: str,
    staged: Mapping[str, DesiredApp],
    removed: list[str],
    *,
    apps_dir_found: bool,
) -> tuple[Head, dict[str, DesiredApp]]:
    """Make the files of `revision` the desired state: those `staged`, less those `removed`, and the rest as known."""
    # Should this die before a plan is carried out, the next run plans, though the remote has nothing new.
    engine.due.schedule(UNPLANNED, engine.store.now())
    first = engine.desired.head() is None
    known = {} if first else engine.desired.files()
    files = {path: app for path, app in known.items() if path not in removed}
    files.update(staged)
    previous = engine.desired.names() if any(app.guessed for app in files.values()) else {}
    apps = assemble(files, previous)
    commit = engine.mirror.commit(revision)
    head = Head(
        revision=revision,
        branch=engine.settings.branch,
        author=commit.author,
        subject=commit.subject,
        committed_at=float(commit.committed_at),
        parsed_at=engine.clock(),
        apps_dir_found=apps_dir_found,
    )
    engine.desired.write(head, staged, apps, removed, replace=first)
    return head, apps


def _note(
    engine: Engine, planned: Plan, apps: Mapping[str, DesiredApp], live: Live, policy: Policy, effects: Any
) -> None:
    """Holds whose spec has changed end, as do outcomes of what is gone; whoever waits for a time is looked at then."""
    for name, hold in policy.holds.items():
        app = apps.get(name)
        if hold.digest != (app.digest if app else ""):
            engine.holds.release(name, pipe=effects)
    pending = {held.app for held in planned.held if held.reason == "RemovalBudget"}
    if pending != policy.pending_removals:
        engine.holds.set_pending_removals(pending, pipe=effects)
    for held in planned.held:
        if held.reason == "SyncWindow" and not held.until:  # it could not be told that far ahead
            engine.due.schedule(f"wait:{held.app}@{held.node}", policy.now + _LOOK_AGAIN, pipe=effects)
        elif held.until > policy.now:
            engine.due.schedule(f"wait:{held.app}@{held.node}", held.until, pipe=effects)
    for suspended, suspension in policy.suspensions.items():
        if suspension.until > policy.now:
            engine.due.schedule(f"suspension:{suspended}", suspension.until, pipe=effects)
    for (app_name, node), upgrade in policy.upgrades.items():
        if is_over(upgrade, policy.now) or app_name not in live:
            engine.upgrades.drop(app_name, node, pipe=effects)
    for (app_name, node), outcome in policy.outcomes.items():
        gone = app_name not in apps and (app_name not in live or outcome.result != "failed")
        if gone or outcome.result in ("blocked", "superseded"):
            engine.outcomes.drop(app_name, node, pipe=effects)
