"""The tasks of DESIGN section 3, thin: each takes identifiers, calls one plain function, and says how it ended.

Delivery: every message may come twice, or never. A step is claimed in Redis before anything is done, its lease is
renewed meanwhile, and what gets lost is sent again by `sweep`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from celery.exceptions import Ignore

from reconciler import apply as applying
from reconciler import check as checking
from reconciler import diff as diffing
from reconciler import observe as observing
from reconciler import parse as parsing
from reconciler import pull as pulling
from reconciler import sweep as sweeping
from reconciler.asking import ask_for_sync
from reconciler.sweep import to_look_at
from reconciler.work import Body, perform
from state.steps import Claim
from tasks.decorator import pipeline_task
from tasks.engine import engine
from tasks.phases import Phases

_SOON = 10.0  # seconds for which a busy node still should look, when it is asked to more often


@pipeline_task("sync", time_limit=300, ignore_result=False)
def sync(
    self: Any,
    trigger: str = "call",
    force: bool = False,
    app: str | None = None,
    allow_removals: str | None = None,
    plan: str | None = None,
) -> str:
    """Make the machines agree with Git. The result is the run's record, stored when the run has ended."""
    waited_for = not self.request.ignore_result and not self.request.called_directly
    asked = ask_for_sync(
        engine(),
        trigger,
        request=self.request.id if waited_for else "",
        force=force,
        app=app,
        allow_removals=allow_removals,
        plan=plan,
    )
    if waited_for:
        raise Ignore  # the result is not ours to give: it is stored when the run ends
    return asked.run


@pipeline_task("pull", time_limit=1800)
def pull(self: Any, run: str, step: str) -> str:
    """Look at the remote; fetch what is new."""
    return _step(self, run, step, pulling.pull)


@pipeline_task("parse", time_limit=600)
def parse(self: Any, run: str, step: str) -> str:
    """Read the spec files that changed."""
    return _step(self, run, step, parsing.parse)


@pipeline_task("diff", time_limit=600)
def diff(self: Any, run: str, step: str) -> str:
    """Plan what must happen."""
    return _step(self, run, step, diffing.diff)


@pipeline_task("deploy", time_limit=3600)
def deploy(self: Any, run: str, step: str) -> str:
    """Bring one app to its spec on this node."""
    return _step(self, run, step, applying.apply)


@pipeline_task("upgrade", time_limit=3600)
def upgrade(self: Any, run: str, step: str) -> str:
    """Move one app to another release on this node."""
    return _step(self, run, step, applying.apply)


@pipeline_task("reconfigure", time_limit=1800)
def reconfigure(self: Any, run: str, step: str) -> str:
    """Give one app its new environment on this node."""
    return _step(self, run, step, applying.apply)


@pipeline_task("remove", time_limit=600)
def remove(self: Any, run: str, step: str) -> str:
    """Take one app off this node."""
    return _step(self, run, step, applying.apply)


@pipeline_task("rollback", time_limit=1800)
def rollback(self: Any, run: str, step: str) -> str:
    """Bring one app back to an earlier release on this node."""
    return _step(self, run, step, applying.apply)


@pipeline_task("observe", time_limit=300)
def observe(self: Any, run: str = "", step: str = "") -> str:
    """See what runs on this node, as a step of a run or by itself."""
    if run:
        return _step(self, run, step, observing.observe_step)
    return f"{len(observing.observe(engine()))} apps"


@pipeline_task("check", time_limit=300)
def check(self: Any) -> str:
    """Ask the apps of this node whether they are well."""
    return f"{checking.check(engine())} asked"


@pipeline_task("sweep", time_limit=120)
def sweep(self: Any) -> str:
    """Mend what lost messages and lost workers left behind; let the nodes look at what they run."""
    here = engine()
    found = sweeping.sweep(here)
    now = here.store.now()
    every = here.settings.observe_interval
    until = datetime.fromtimestamp(now + max(every, _SOON), UTC)
    for node in to_look_at(here.nodes.all(), here.live.observed(), now, every):
        for task in (observe, check):
            task.apply_async(queue=f"node.{node}", expires=until)
    return f"{len(found.resend)} sent again" if found.run else "nothing open"


def _step(task: Any, run: str, step: str, body: Body) -> str:
    """Do one step; show its phases while it goes on."""
    phases = Phases(task, step)

    def seen(claim: Claim) -> None:
        if claim.step.app:
            phases.meta.update(app=claim.step.app, revision=claim.step.revision[:12], node=claim.step.node)

    try:
        done = perform(engine(), run, step, body, report=phases.show, seen=seen)
    finally:
        phases.end()
    return f"{done.state}: {done.outcome.reason}" if done.outcome and done.outcome.reason else done.state
