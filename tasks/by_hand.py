"""What people ask for about one app by hand: roll back, restart, remove, deploy, upgrade.

Each becomes a step per node, in the open run where there is one. What differs from Git afterwards is held until
the spec in Git changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from celeriac.errors import MisuseError
from reconciler.asking import ask_for_steps, stamp
from reconciler.parts import Parts
from reconciler.placement import place
from reconciler.steps import manual_step
from specs.appstate import AppState
from specs.model import AppSpec
from specs.schema import read_spec
from state.steps import Step
from tasks.engine import engine

Where = Mapping[str, AppState]


def rollback(parts: Parts, where: Where, name: str, to: str | None) -> dict[str, Any]:
    """Back to an earlier release on each node that runs it."""
    reason = f"rolled back by hand{f' to {to}' if to else ''}"
    payload = {**_hold(parts, name, reason), **({"to": to} if to else {})}
    return _ask([_step("rollback", state, payload=payload) for state in where.values()])


def restart(where: Where, name: str) -> dict[str, Any]:
    """Stop and start on each node that runs it."""
    return _ask([_step("deploy", state, action="restart", digest=state.digest) for state in where.values()])


def remove(where: Where, name: str) -> dict[str, Any]:
    """Off each node that runs it."""
    return _ask([_step("remove", state) for state in where.values()])


def upgrade(parts: Parts, where: Where, name: str, version: str) -> dict[str, Any]:
    """To another version, everything else as Git says (or as it runs)."""
    desired = parts.desired.digest(name)
    running = next(iter(where.values()))
    spec = parts.vault.get(desired or "") or parts.vault.get(running.digest)
    if spec is None:
        raise MisuseError(f"the spec of {name} is not on this node", hint="run this where it runs")
    if spec.source.type == "release":
        raise MisuseError(
            f"{name} comes from a release file, whose address and sha256 belong to one version",
            hint="change its spec in Git",
        )
    found = parts.vault.put(_valid_version(replace(spec, version=version)))
    payload = _hold(parts, name, f"moved to {version} by hand")
    return _ask([_step("upgrade", state, digest=found, version=version, payload=payload) for state in where.values()])


def deploy(parts: Parts, spec: AppSpec | Mapping[str, Any]) -> dict[str, Any]:
    """A spec that is not from Git, or not yet."""
    wanted = spec if isinstance(spec, AppSpec) else _read(spec)
    found = parts.vault.put(wanted)
    alive = {name: node.labels for name, node in parts.nodes.all().items() if node.alive}
    live = parts.live.app(wanted.name)
    nodes = place(wanted.name, wanted.placement, alive, live.keys())
    if not nodes:
        raise MisuseError(f"no live node fits the placement of {wanted.name}", hint="see them: celeriac nodes")
    payload = _hold(parts, wanted.name, "deployed by hand")
    steps = [
        manual_step(
            "upgrade" if node in live else "deploy",
            wanted.name,
            node,
            stamp(),
            digest=found,
            version=wanted.version,
            from_digest=live[node].digest if node in live else "",
            from_version=live[node].version if node in live else "",
            payload=payload,
        )
        for node in nodes
    ]
    return _ask(steps)


def _read(document: Mapping[str, Any]) -> AppSpec:
    spec, problems = read_spec(dict(document))
    if spec is None:
        told = "; ".join(f"{'.'.join(map(str, at))}: {message}" if at else message for at, message in problems[:5])
        raise MisuseError(f"that is not a valid spec: {told}", hint="the fields are in docs/spec.md")
    return spec


def _valid_version(spec: AppSpec) -> AppSpec:
    from packaging.version import InvalidVersion, Version

    try:
        Version(spec.version)
    except InvalidVersion:
        raise MisuseError(f"{spec.version!r} is not a version", hint="such as 1.4.0") from None
    return spec


def _hold(parts: Parts, name: str, reason: str) -> dict[str, Any]:
    return {"hold": {"digest": parts.desired.digest(name) or "", "reason": reason}}


def _step(task: str, state: AppState, **fields: Any) -> Step:
    given = {"version": state.version, **fields}
    return manual_step(
        task, state.name, state.node, stamp(), from_digest=state.digest, from_version=state.version, **given
    )


def _ask(steps: list[Step]) -> dict[str, Any]:
    asked = ask_for_steps(engine(), steps)
    return {"run": asked.run, "started": asked.started}
