"""Desired and live state become a plan. Pure: same input, same plan, same plan id.

Planning against the result of applying a plan gives an empty plan (property-tested). Each
app is decided alone (`_decide`), then removals are bounded, then the order is laid over all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from reconciler.crashes import failed_later
from reconciler.placement import place
from reconciler.plan import WITH_HOOKS, Action, Change, Held, Plan, identify
from reconciler.policy import Policy
from specs.appstate import AppState
from specs.desired import DesiredApp
from specs.digest import Digest
from state.outcomes import Outcome

Live = Mapping[str, Mapping[str, AppState]]

_HEALING = ("repair", "rollback", "adopt")
"""What is done for an app that does not run as it should, though what Git wants may have to wait."""


def plan(desired: Mapping[str, DesiredApp], live: Live, policy: Policy | None = None) -> Plan:
    """What must happen so that `live` (app → node → state) becomes `desired`, and in which order.

    Apps with problems, suspended ones and those held by hand are left exactly as they run.
    """
    policy = policy or Policy()
    changes: dict[str, Change] = {}
    held: dict[str, Held] = {}
    adopted: set[str] = set()
    heirs = _heirs(desired, live)
    for name, app in desired.items():
        if app.problems:
            text = "; ".join(str(problem) for problem in app.problems[:3])
            held[name] = Held(name, "", "Invalid", text)
            continue
        for found in _desired_changes(app, live, desired, policy):
            if isinstance(found, Held):
                held[f"{name}@{found.node}"] = found
            else:
                changes[found.key] = found
                if found.action == "adopt":
                    adopted.add(app.renamed_from)
    for found in _removals(desired, live, policy, adopted, heirs):
        if isinstance(found, Held):
            held[f"{found.app}@{found.node}"] = found
        else:
            changes[found.key] = found
    if policy.only:
        changes = _only(policy.only, changes, desired)
    _order(changes, held, desired, live)
    sorted_changes = _sorted(changes)
    return Plan(
        revision=policy.revision,
        changes=sorted_changes,
        held=tuple(held[key] for key in sorted(held)),
        id=identify(sorted_changes),
    )


def _desired_changes(
    app: DesiredApp, live: Live, desired: Mapping[str, DesiredApp], policy: Policy
) -> Iterable[Change | Held]:
    states = live.get(app.name, {})
    # Where an app must not move, it waits for the nodes that it lost; only the rest of its replicas is placed.
    lost = () if app.placement.failover else sorted(states.keys() - policy.nodes.keys())
    placement = replace(app.placement, replicas=app.placement.replicas - len(lost)) if lost else app.placement
    wanted_nodes = place(app.name, placement, policy.nodes, states.keys()) if placement.replicas > 0 else ()
    for node in lost:
        yield Held(app.name, node, "NodeDown", f"{node} is down, and the app does not move from it (failover: false)")
    if not wanted_nodes and not lost:
        yield Held(app.name, "", "NoNode", "no live node fits its placement", pending="deploy")
    for node in wanted_nodes:
        found = _decide(app, states.get(node), node, live, desired, policy)
        if found is not None:
            yield found
    left = sorted(node for node in states if node not in wanted_nodes and node in policy.nodes) if wanted_nodes else ()
    if left:
        suspended = policy.suspended(app.name, app.suspend, suspended_until(app))
        for node in left:
            closed = policy.closed_until(app.windows)
            if suspended:
                ends = policy.suspension_ends(app.name, app.suspend, suspended_until(app))
                yield Held(app.name, node, "Suspended", suspended, pending="remove", until=ends)
            elif closed is not None:
                yield _closed(app.name, node, "remove", closed)
            else:
                yield _change(app.name, node, "remove", states[node], "Moved")


def _decide(
    app: DesiredApp,
    state: AppState | None,
    node: str,
    live: Live,
    desired: Mapping[str, DesiredApp],
    policy: Policy,
) -> Change | Held | None:
    found = _taken_back(app, state, node, policy) or _difference(app, state, node, live, desired)
    if found is None:
        return None
    if not policy.knows(node):
        return Held(app.name, node, "NotObserved", f"what runs on {node} is not known yet", pending=found.action)
    why = policy.suspended(app.name, app.suspend, suspended_until(app))
    if why:
        ends = policy.suspension_ends(app.name, app.suspend, suspended_until(app))
        return Held(app.name, node, "Suspended", why, pending=found.action, until=ends)
    hold = policy.holds.get(app.name)
    outcome = policy.outcomes.get((app.name, node))
    kept = hold is not None and hold.digest == app.digest
    waits = _waits(outcome, found.digest, policy)
    closed = policy.closed_until(app.windows)
    if state is not None and (kept or waits or closed is not None) and found.action not in _HEALING and _down(state):
        # What ran before is restored while the desired one must wait.
        found = _repair(app.name, node, state, "Drift", digest=state.digest, version=state.version)
        kept, waits = False, _waits(outcome, found.digest, policy)
    if kept and hold is not None and found.digest == app.digest and found.action not in _HEALING:
        message = f"{hold.reason or 'held by hand'}, until its spec changes"
        return Held(app.name, node, "HeldByHand", message, pending=found.action)
    if waits and outcome is not None:
        reason = "RolledBack" if outcome.result == "rolled_back" else "BackOff"
        message = outcome.message or "failed before"
        return Held(app.name, node, reason, message, pending=found.action, until=outcome.not_before)
    if closed is not None and not _passes_windows(app, found, live, policy):
        return _closed(app.name, node, found.action, closed)
    return replace(found, hooks=app.hooks) if found.action in WITH_HOOKS else found


def _passes_windows(app: DesiredApp, found: Change, live: Live, policy: Policy) -> bool:
    """Whether a change is none that sync windows are about: it brings nothing new, or goes on where one was cut off."""
    if found.action in ("repair", "rollback", "record"):
        return True
    if found.action == "adopt":
        return not _up({found.node: live[app.renamed_from][found.node]})
    lost = [state for node, state in live.get(app.name, {}).items() if node not in policy.nodes]
    return found.action == "deploy" and any(state.digest == found.digest for state in lost)


def _closed(app: str, node: str, pending: str, until: float) -> Held:
    when = f"until {datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ}" if until else "for as long as can be told"
    return Held(app, node, "SyncWindow", f"held back by a sync window {when}", pending=pending, until=until)


def _taken_back(app: DesiredApp, state: AppState | None, node: str, policy: Policy) -> Change | None:
    """The roll-back of an upgrade that failed after it had gone well, while Git still asks for just that."""
    upgrade = policy.upgrades.get((app.name, node))
    if upgrade is None or state is None or state.digest != app.digest or not failed_later(upgrade, state, policy.now):
        return None
    change = _change(
        app.name, node, "rollback", state, "CrashLoop", digest=upgrade.from_digest, version=upgrade.from_version
    )
    return replace(change, detail=state.message)


def _difference(
    app: DesiredApp, state: AppState | None, node: str, live: Live, desired: Mapping[str, DesiredApp]
) -> Change | None:
    if state is not None and state.digest == app.digest and not _down(state):
        return None
    old = live.get(app.renamed_from, {}).get(node) if app.renamed_from not in desired else None
    if old is not None and (state is None or _down(state)):  # down: an adoption that was cut off goes on
        reason = f"RenamedFrom {app.renamed_from}"
        return _change(app.name, node, "adopt", old, reason, digest=app.digest, version=app.version)
    if state is None:
        return _change(app.name, node, "deploy", None, "NotDeployed", digest=app.digest, version=app.version)
    wanted, has = Digest.parse(app.digest), Digest.parse(state.digest)
    if wanted.release != has.release:
        reason = "VersionChanged" if state.version != app.version else "SpecChanged"
        return _change(app.name, node, "upgrade", state, reason, digest=app.digest, version=app.version)
    if wanted.env != has.env:
        return _change(app.name, node, "reconfigure", state, "EnvChanged", digest=app.digest, version=app.version)
    if _down(state):
        reason = "Unhealthy" if state.status == "running" else "NotRunning"
        return _repair(app.name, node, state, reason, digest=app.digest, version=app.version)
    if wanted.record != has.record:
        return _change(app.name, node, "record", state, "RecordChanged", digest=app.digest, version=app.version)
    return None


def _heirs(desired: Mapping[str, DesiredApp], live: Live) -> dict[str, str]:
    """Old names that are gone from Git, each with the app that takes over and is not up yet."""
    return {
        app.renamed_from: name
        for name, app in desired.items()
        if app.renamed_from and app.renamed_from not in desired and not _up(live.get(name, {}))
    }


def _removals(
    desired: Mapping[str, DesiredApp], live: Live, policy: Policy, adopted: set[str], heirs: Mapping[str, str]
) -> Iterable[Change | Held]:
    gone = [name for name in live if name not in desired and name not in adopted and live[name]]
    still_needed = {
        need: name
        for name, app in desired.items()
        if app.problems
        for state in live.get(name, {}).values()
        for need in state.depends_on
    }
    # A hold of something that was in Git ends with its spec, as with any change of that.
    kept = {name: policy.holds[name] for name in gone if name in policy.holds and not policy.holds[name].digest}
    prunable = [name for name in gone if name not in still_needed and name not in kept and name not in heirs]
    over_budget = policy.too_many(len(prunable), sum(1 for states in live.values() if states)) or (
        policy.pending_removals.intersection(prunable) and not policy.removals_acknowledged
    )
    for name in gone:
        for node, state in live[name].items():
            suspended = policy.suspended(name, None, 0)
            if suspended:
                ends = policy.suspension_ends(name, None, 0)
                yield Held(name, node, "Suspended", suspended, pending="remove", until=ends)
            elif name in kept:
                yield Held(name, node, "HeldByHand", kept[name].reason or "deployed by hand", pending="remove")
            elif name in still_needed:
                message = f"{still_needed[name]} still runs with it, and its spec is invalid"
                yield Held(name, node, "StillNeeded", message, pending="remove", by=still_needed[name])
            elif name in heirs:
                message = f"runs on until {heirs[name]}, its new name, is healthy"
                yield Held(name, node, "Renamed", message, pending="remove", by=heirs[name])
            elif name in policy.never_prune:
                yield Held(name, node, "PruneOff", "gone from Git, kept since prune is false", pending="remove")
            elif over_budget:
                if policy.apps_dir_found:
                    message = f"{len(prunable)} apps would be removed: acknowledge with celeriac sync --allow-removals"
                    yield Held(name, node, "RemovalBudget", f"{message} {policy.revision[:12]}", pending="remove")
                else:
                    message = "the apps folder is missing from the repository, so nothing is removed"
                    yield Held(name, node, "AppsFolderMissing", message, pending="remove")
            elif (closed := policy.closed_until(policy.last_windows.get(name, ()))) is not None:
                yield _closed(name, node, "remove", closed)
            elif node in policy.nodes and policy.knows(node):
                yield _change(name, node, "remove", state, "GoneFromGit")


def _order(changes: dict[str, Change], held: dict[str, Held], desired: Mapping[str, DesiredApp], live: Live) -> None:
    """Give each change its needs; move those that wait for something held, transitively, to `held`."""
    by_app: dict[str, list[Change]] = {}
    for change in changes.values():
        by_app.setdefault(change.app, []).append(change)
    blocked: list[str] = []
    dependents: dict[str, list[str]] = {}
    for change in list(changes.values()):
        needs: set[str] = set()
        if change.action == "remove":
            continue
        if change.action == "record":
            continue
        for name in desired[change.app].depends_on if change.app in desired else ():
            dependents.setdefault(name, []).append(change.key)
            ahead = [c.key for c in by_app.get(name, ()) if c.action not in ("remove", "record")]
            if ahead:
                needs.update(ahead)
            elif not _up(live.get(name, {})):
                blocked.append(change.key)
                _block(changes, held, change.key, name)
                break
        if change.key in changes:
            changes[change.key] = replace(change, needs=tuple(sorted(needs)))
    while blocked:
        key = blocked.pop()
        app = key.rsplit("@", 1)[0]
        for dependent in dependents.get(app, ()):
            if dependent in changes and key in changes[dependent].needs:
                _block(changes, held, dependent, app)
                blocked.append(dependent)
    _order_removals(changes, by_app, live)


def _order_removals(changes: dict[str, Change], by_app: Mapping[str, list[Change]], live: Live) -> None:
    users: dict[str, set[str]] = {}
    for name, states in live.items():
        for state in states.values():
            for need in state.depends_on:
                users.setdefault(need, set()).add(name)
    for key, change in list(changes.items()):
        if change.action == "remove":
            first = {
                c.key
                for user in users.get(change.app, ())
                for c in by_app.get(user, ())
                if c.key in changes and c.key != key and (c.action == "remove" or change.reason == "GoneFromGit")
            }
            changes[key] = replace(change, needs=tuple(sorted(first)))


def _block(changes: dict[str, Change], held: dict[str, Held], key: str, by: str) -> None:
    change = changes.pop(key)
    behind = next((h for h in held.values() if h.app == by), None)
    if behind is None:
        message = f"waits for {by}, which is not healthy"
    elif behind.reason == "DependencyNotReady":
        message = f"waits for {by}, which {behind.message}"
    else:
        message = f"waits for {by}, which is not healthy ({behind.reason})"
    held[key] = Held(change.app, change.node, "DependencyNotReady", message, pending=change.action, by=by)


def _only(app: str, changes: Mapping[str, Change], desired: Mapping[str, DesiredApp]) -> dict[str, Change]:
    wanted, queue = {app}, [app]
    while queue:
        entry = desired.get(queue.pop())
        for need in entry.depends_on if entry else ():
            if need not in wanted:
                wanted.add(need)
                queue.append(need)
    return {key: change for key, change in changes.items() if change.app in wanted}


def _sorted(changes: Mapping[str, Change]) -> tuple[Change, ...]:
    waiting = {key: {need for need in change.needs if need in changes} for key, change in changes.items()}
    followers: dict[str, list[str]] = {}
    for key, needs in waiting.items():
        for need in needs:
            followers.setdefault(need, []).append(key)
    order: list[Change] = []
    ready = sorted(key for key, needs in waiting.items() if not needs)
    placed: set[str] = set()
    while len(placed) < len(changes):
        if not ready:  # what was recorded at different times may form a circle, which only removals can
            ready = [min(key for key in changes if key not in placed)]
        following: list[str] = []
        for key in ready:
            order.append(replace(changes[key], needs=tuple(n for n in changes[key].needs if n in placed)))
            placed.add(key)
            for follower in followers.get(key, ()):
                waiting[follower].discard(key)
                if not waiting[follower] and follower not in placed:
                    following.append(follower)
        ready = sorted(following)
    return tuple(order)


def _waits(outcome: Outcome | None, digest: str, policy: Policy) -> bool:
    return outcome is not None and not policy.force and outcome.digest == digest and outcome.not_before > policy.now


def _down(state: AppState) -> bool:
    return state.status in ("stopped", "failed") or state.health == "unhealthy"


def _up(states: Mapping[str, AppState]) -> bool:
    return bool(states) and all(s.status == "running" and s.health != "unhealthy" for s in states.values())


def suspended_until(app: DesiredApp) -> float:
    """When the suspension in an app's spec ends by itself: seconds since the epoch, 0 for never or none."""
    if app.suspend is None or not app.suspend.until:
        return 0.0
    moment = datetime.fromisoformat(app.suspend.until)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _repair(app: str, node: str, state: AppState, reason: str, *, digest: str, version: str) -> Change:
    change = _change(app, node, "repair", state, "Drift" if state.drift else reason, digest=digest, version=version)
    return replace(change, detail=state.drift or state.message)


def _change(
    app: str, node: str, action: Action, state: AppState | None, reason: str, *, digest: str = "", version: str = ""
) -> Change:
    return Change(
        app=app,
        node=node,
        action=action,
        digest=digest,
        version=version,
        from_version=state.version if state else "",
        from_digest=state.digest if state else "",
        reason=reason,
    )
