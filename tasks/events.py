"""The events of DESIGN section 7 as Celery signals: `from tasks.events import deploy_stop; @deploy_stop.connect`.

A receiver gets `sender` (the event's name) and `event`, a `state.events.Event`. It is called in the process in which
the event happened, which for most is a worker's child; what it raises is logged and stops nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from celery.utils.dispatch import Signal

from state.events import Event

NAMES = (
    "reconcile.start", "reconcile.stop", "reconcile.error", "git.pull", "git.clone_start", "git.clone_stop",
    "parse.start", "parse.stop", "deps.start", "deps.stop", "build.start", "build.stop", "deploy.start", "deploy.stop",
    "upgrade.start", "upgrade.stop", "upgrade.fallback", "reconfigure.start", "reconfigure.stop", "remove.start",
    "remove.stop", "rollback.start", "rollback.stop", "health.check", "code.load", "code.purge", "node.up", "node.down",
    "guests.restart",
)  # fmt: skip

_SIGNALS = {name: Signal(name=name.replace(".", "_"), providing_args={"event"}) for name in NAMES}

reconcile_start = _SIGNALS["reconcile.start"]
reconcile_stop = _SIGNALS["reconcile.stop"]
reconcile_error = _SIGNALS["reconcile.error"]
git_pull = _SIGNALS["git.pull"]
git_clone_start = _SIGNALS["git.clone_start"]
git_clone_stop = _SIGNALS["git.clone_stop"]
parse_start = _SIGNALS["parse.start"]
parse_stop = _SIGNALS["parse.stop"]
deps_start = _SIGNALS["deps.start"]
deps_stop = _SIGNALS["deps.stop"]
build_start = _SIGNALS["build.start"]
build_stop = _SIGNALS["build.stop"]
deploy_start = _SIGNALS["deploy.start"]
deploy_stop = _SIGNALS["deploy.stop"]
upgrade_start = _SIGNALS["upgrade.start"]
upgrade_stop = _SIGNALS["upgrade.stop"]
upgrade_fallback = _SIGNALS["upgrade.fallback"]
reconfigure_start = _SIGNALS["reconfigure.start"]
reconfigure_stop = _SIGNALS["reconfigure.stop"]
remove_start = _SIGNALS["remove.start"]
remove_stop = _SIGNALS["remove.stop"]
rollback_start = _SIGNALS["rollback.start"]
rollback_stop = _SIGNALS["rollback.stop"]
health_check = _SIGNALS["health.check"]
code_load = _SIGNALS["code.load"]
code_purge = _SIGNALS["code.purge"]
node_up = _SIGNALS["node.up"]
node_down = _SIGNALS["node.down"]
guests_restart = _SIGNALS["guests.restart"]


def send(event: Event) -> None:
    """Let the receivers of the event's signal know of it."""
    signal = _SIGNALS.get(event.name)
    if signal is not None and signal.receivers:
        signal.send(sender=event.name, event=event)


class _CallableModule(ModuleType):
    """`tasks.events` is this module and, by DESIGN section 6, also the function that lists events."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from tasks import api

        return api.events(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
