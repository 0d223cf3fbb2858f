"""`plan()`: what a sync would do for any revision, against what runs or an exported state. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from celeriac.errors import MisuseError
from reconciler.known import policy_for
from reconciler.parts import Parts
from reconciler.planning import plan
from reconciler.policy import Policy
from specs.desired import DesiredApp, assemble
from state.desired import Head
from tasks.documents import live_from


def planned(parts: Parts, revision: str | None, live_document: Mapping[str, Any] | None) -> dict[str, Any]:
    """The plan's document (docs/json.md). Raises MisuseError, or RepositoryError for a revision that there is not."""
    head, apps = _desired(parts, revision)
    if live_document is None:
        live = parts.live.states()
    else:
        try:
            live = live_from(live_document)
        except msgspec.ValidationError as error:
            raise MisuseError(
                f"that is not an exported state: {error}", hint="write one with: celeriac status --live > live.json"
            ) from error
    policy = policy_for(parts, head, apps, live)
    if live_document is not None:
        nodes = {node for states in live.values() for node in states} or {parts.settings.node}
        policy = _offline(policy, {node: {} for node in nodes})
    found = plan(apps, live, policy)
    problems = [str(problem) for app in apps.values() for problem in app.problems]
    return {**found.document(), "problems": problems}


def _offline(policy: Policy, nodes: Mapping[str, Mapping[str, str]]) -> Policy:
    """The policy for a state that was exported: its nodes count as there and known."""
    return replace(policy, nodes={**nodes, **{n: policy.nodes[n] for n in nodes if n in policy.nodes}}, observed=None)


def _desired(parts: Parts, revision: str | None) -> tuple[Head, dict[str, DesiredApp]]:
    head, apps = parts.desired.snapshot()
    if revision is None and head is not None:
        return head, apps
    from reconciler.engine import Engine
    from reconciler.parse import load_files, wanted_files

    engine = Engine(parts.settings)
    wanted = engine.mirror.resolve(revision or parts.settings.branch)
    files, _, found = wanted_files(engine, wanted, {})
    loaded = load_files(engine, files)
    return Head(wanted, apps_dir_found=found), assemble(loaded, parts.desired.names())
