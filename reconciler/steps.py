"""The steps that runs are made of, as values: what to do, where, after what. Pure.

pull → parse (→ parse#0 … parse#n) → observe@NODE where a node is not known → diff → one step per app and node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.plan import TASKS, Change
from state.steps import Step

CONTROL = "ctl"
PULL = Step("pull", "pull", CONTROL)


def node_queue(node: str) -> str:
    """The queue that only the worker of `node` reads."""
    return f"node.{node}"


def parse_step(revision: str, before_diff: Sequence[str] = (), since: str = "") -> Step:
    """Find what changed at `revision` (since that of the last parse) and read it, or share the reading out.

    Then diff, also after `before_diff`.
    """
    payload = {"before_diff": list(before_diff), "since": since}
    return Step("parse", "parse", CONTROL, revision=revision, needs=("pull",), payload=payload)


def share_step(number: int, revision: str, files: Sequence[Sequence[str]]) -> Step:
    """Read a share of the files, each a path and a blob id."""
    return Step(
        f"parse#{number}", "parse", CONTROL, revision=revision, needs=("parse",), payload={"files": list(files)}
    )


def observe_step(node: str) -> Step:
    """See what runs on a node. Its failing holds up that node's apps alone, which the planner sees to."""
    return Step(f"observe@{node}", "observe", node_queue(node), node=node)


def diff_step(revision: str, needs: Iterable[str]) -> Step:
    """Plan, and add a step for each change, after `needs`."""
    return Step("diff", "diff", CONTROL, revision=revision, resource="desired", needs=tuple(needs))


def change_step(change: Change, revision: str, since: Mapping[str, float] | None = None) -> Step:
    """Carry out one change of a plan on the node that it concerns.

    `since` is what is known of the time since the commit: when it was made, and seconds per stage of the run so far.
    """
    return Step(
        id=change.key,
        task=TASKS[change.action],
        queue=node_queue(change.node),
        resource=change.key,
        app=change.app,
        node=change.node,
        action=change.action,
        digest=change.digest,
        version=change.version,
        from_digest=change.from_digest,
        from_version=change.from_version,
        revision=revision,
        reason=change.reason,
        needs=change.needs,
        payload={**({"since": dict(since)} if since else {}), **({"detail": change.detail} if change.detail else {})},
    )


def manual_step(task: str, app: str, node: str, stamp: str, **fields: Any) -> Step:
    """Something that was asked for by hand, about one app on one node. `stamp` tells two askings apart."""
    return Step(
        id=f"{task}:{app}@{node}:{stamp}",
        task=task,
        queue=node_queue(node),
        resource=f"{app}@{node}",
        app=app,
        node=node,
        action=fields.pop("action", task),
        reason="ByHand",
        payload={"manual": True, **fields.pop("payload", {})},
        **fields,
    )


def stamps(step: Step) -> Mapping[str, str]:
    """What a message about `step` is stamped with, for people who look at Flower."""
    return {"app": step.app, "revision": step.revision[:12], "node": step.node, "version": step.version}
