"""What a node may forget: releases of removed apps after their grace, specs that nothing names any more.

A removed app's releases stay for `removal_grace`, so that a revert brings it back without a build.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from reconciler.engine import Engine
from sources import releases, remove_release
from specs.names import is_name

_EVERY = 300.0
_VAULT_GRACE = 3600.0


def tidy(engine: Engine, running: Collection[str]) -> None:
    """Remove what is no longer needed on this node, now and then. `running` are the apps that are there.

    Not while a run is open: what it is about to bring back looks removed until it runs.
    """
    marker = engine.settings.home / "tidied"
    now = time.time()
    grace = engine.settings.removal_grace
    try:
        if now - marker.stat().st_mtime < min(_EVERY, max(grace, 1.0)):
            return
    except FileNotFoundError:
        pass
    if engine.runs.current() is not None:
        return
    marker.touch(mode=0o600)
    folder = engine.settings.home / "apps"
    gone = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    desired = engine.desired.digests()
    for path in gone:
        name = path.name
        if not is_name(name) or name in running or name in desired:
            continue
        kept = releases(engine.settings.home, name)
        # The folder changes when the link and manifest of a removed app go: since then it is gone.
        if kept and now - path.stat().st_mtime > grace:
            for release in kept:
                remove_release(engine.settings.home, name, release.id)
            engine.ledger.drop(name)
    _forget_specs(engine, set(desired.values()), now)


def _forget_specs(engine: Engine, desired: set[str], now: float) -> None:
    """Forget specs that neither Git, a live app nor a ledger names, when the desired state is known and not new."""
    head = engine.desired.head()
    if head is None or now - head.parsed_at < _VAULT_GRACE:
        return
    live = {state.digest for states in engine.live.states().values() for state in states.values()}
    holds = {hold.digest for hold in engine.holds.holds().values()}
    engine.vault.prune(desired | live | holds | engine.ledger.digests())
