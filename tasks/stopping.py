"""How a worker that is told to stop waits for the steps that it is at: until they have ended, and no longer.

Celery's soft shutdown sleeps for all of `worker_soft_shutdown_timeout` once anything is at work, even when that ends
at once. Its main process hears nothing from the pool meanwhile; Redis knows which steps are still at work here.
"""

from __future__ import annotations

import time
from typing import Any

from celery import signals
from celery.utils.log import get_task_logger

from reconciler.parts import Parts
from state.unavailable import StateUnavailable
from tasks.engine import engine

_log = get_task_logger("celeriac")
_LOOK = 0.5  # also enough for a step that has ended to send what follows it


@signals.worker_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _wait_for_steps(sender: Any, **_: Any) -> None:
    timeout = float(sender.app.conf.worker_soft_shutdown_timeout)

    def wait() -> None:
        from celery.worker import state  # here, since whoever only sends tasks needs none of it

        if timeout > 0 and state.reserved_requests:  # those that a process was given, too, and has not yet taken
            _log.warning("Stopping when the steps at work have ended, in %g seconds at the latest", timeout)
            wait_until_idle(engine(), timeout)

    sender.wait_for_soft_shutdown = wait


def wait_until_idle(parts: Parts, timeout: float) -> bool:
    """Wait until no step is at work on this node; False when some still was after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        time.sleep(min(_LOOK, timeout))
        if not _at_work(parts):
            return True
    return False


def _at_work(parts: Parts) -> bool:
    """Whether a step is at work on this node. While Redis does not answer there may be one."""
    try:
        run = parts.runs.current()
        steps = parts.runs.steps(run.id) if run is not None else []
    except StateUnavailable:
        return True
    return any(one.state == "running" and one.owner.startswith(f"{parts.settings.node}:") for one in steps)
