"""`plan()`: what a sync would do for any revision, against what runs or an exported state. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from celeriac.errors import MisuseError
from reconciler.known import policy_for
from reconciler.parts import Parts
from reconciler.planning import plan
from reconciler.policy import Policy
from specs.appstate import AppState
from specs.desired import DesiredApp, assemble
from state.desired import Head
from state.unavailable import StateUnavailable
from tasks.documents import live_from


def planned(parts: Parts, revision: str | None, live_document: Mapping[str, Any] | None) -> dict[str, Any]:
    """The plan's document (docs/json.md). Against an exported state it needs no Redis.

    Raises MisuseError, or RepositoryError for a revision that there is not.
    """
    exported = None if live_document is None else _exported(live_document)
    try:
        head, apps = _desired(parts, revision)
        live = exported if exported is not None else parts.live.states()
        policy = policy_for(parts, head, apps, live)
    except StateUnavailable:
        if exported is None:
            raise
        live = exported
        head, apps = _from_git(parts, revision, {})
        policy = Policy(
            now=time.time(),
            revision=head.revision,
            max_removals=parts.settings.max_removals,
            apps_dir_found=head.apps_dir_found,
            windows=parts.settings.sync_windows,
        )
    if exported is not None:
        nodes = {node for states in live.values() for node in states} or {parts.settings.node}
        policy = _offline(policy, {node: {} for node in nodes})
    found = plan(apps, live, policy)
    problems = [str(problem) for app in apps.values() for problem in app.problems]
    return {**found.document(), "problems": problems}


def _offline(policy: Policy, nodes: Mapping[str, Mapping[str, str]]) -> Policy:
    """The policy for a state that was exported: its nodes count as there and known."""
    return replace(policy, nodes={**nodes, **{n: policy.nodes[n] for n in nodes if n in policy.nodes}}, observed=None)


def _exported(document: Mapping[str, Any]) -> dict[str, dict[str, AppState]]:
    try:
        return live_from(document)
    except msgspec.ValidationError as error:
        raise MisuseError(
            f"that is not an exported state: {error}", hint="write one with: celeriac status --live > live.json"
        ) from error


def _desired(parts: Parts, revision: str | None) -> tuple[Head, dict[str, DesiredApp]]:
    head, apps = parts.desired.snapshot()
    if revision is None and head is not None:
        return head, apps
    return _from_git(parts, revision, parts.desired.names())


def _from_git(parts: Parts, revision: str | None, previous: Mapping[str, str]) -> tuple[Head, dict[str, DesiredApp]]:
    """What a revision, or the branch, asks for. `previous` are the names that its files had."""
    from reconciler.engine import Engine
    from reconciler.parse import load_files, wanted_files

    engine = Engine(parts.settings)
    wanted = engine.mirror.resolve(revision or parts.settings.branch)
    files, _, found = wanted_files(engine, wanted, {})
    loaded = load_files(engine, files)
    return Head(wanted, apps_dir_found=found), assemble(loaded, previous)
