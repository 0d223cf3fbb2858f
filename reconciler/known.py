"""Reads everything that a plan or the status is made from. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.parts import Parts
from reconciler.placement import nodes_gone
from reconciler.planning import Live
from reconciler.policy import Policy
from reconciler.status import TOO_OLD, Known
from specs.appstate import AppState
from specs.desired import DesiredApp
from specs.model import AppSpec
from state.desired import Head


def known(parts: Parts) -> Known:
    """All that the status needs, as it is now."""
    head, apps = parts.desired.snapshot()
    live = parts.live.states()
    policy = policy_for(parts, head or Head(""), apps, live)
    run = parts.runs.current()
    steps = tuple(parts.runs.steps(run.id)) if run else ()
    pulse = parts.pulse.get("last_sync", "next_sync", "plan_failed")
    return Known(
        now=policy.now,
        head=head,
        remote=parts.desired.remote(),
        apps=apps,
        live=live,
        observed=parts.live.observed(),
        policy=policy,
        steps=steps,
        syncing=run is not None and (run.trigger != "beat" or any(r.step.task != "pull" for r in steps)),
        branch=parts.settings.branch,
        last_sync=pulse.get("last_sync", 0.0),
        next_sync=pulse.get("next_sync", 0.0),
        failing=pulse.get("plan_failed", 0.0) > pulse.get("last_sync", 0.0),
        too_old=max(TOO_OLD, 6 * parts.settings.observe_interval),
        outcomes=policy.outcomes,
    )


def policy_for(
    parts: Parts,
    head: Head,
    apps: Mapping[str, DesiredApp],
    live: Live,
    *,
    options: Mapping[str, object] | None = None,
) -> Policy:
    """Everything beside desired and live state that a plan depends on, as it is now."""
    options = options or {}
    now, every = parts.store.now(), parts.nodes.all()
    gone_nodes = nodes_gone(every, now)
    gone = {name: _last_specs(parts, states) for name, states in live.items() if name not in apps}
    return Policy(
        now=now,
        revision=head.revision,
        nodes={name: node.labels for name, node in every.items() if name not in gone_nodes},
        observed=frozenset(parts.live.observed()),
        outcomes=parts.outcomes.all(),
        upgrades=parts.upgrades.all(),
        suspensions=parts.holds.suspensions(),
        holds=parts.holds.holds(),
        never_prune=frozenset(name for name, specs in gone.items() if any(not spec.prune for spec in specs)),
        max_removals=parts.settings.max_removals,
        removals_allowed=parts.holds.removals_allowed(),
        pending_removals=parts.holds.pending_removals(),
        apps_dir_found=head.apps_dir_found,
        windows=parts.settings.sync_windows,
        last_windows={name: spec.windows for name, specs in gone.items() for spec in specs if spec.windows},
        force=bool(options.get("force")),
        only=str(options.get("only", "")),
    )


def _last_specs(parts: Parts, states: Mapping[str, AppState]) -> list[AppSpec]:
    """The specs that an app which is gone from Git still runs by, as far as this node knows them."""
    return [spec for state in states.values() if (spec := parts.vault.get(state.digest)) is not None]
