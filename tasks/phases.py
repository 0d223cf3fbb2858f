"""How far a step is, shown as Celery states and events: what Flower has of it.

They are sent from a thread beside the work, which need not wait for them. The states are kept as long as the step goes
on: a result of each step would be a key in Redis for a day.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.utils.log import get_task_logger

_log = get_task_logger("celeriac")
_senders: dict[int, ThreadPoolExecutor] = {}


class Phases:
    """The phases of the step `step`, which the current request of `task` is about."""

    def __init__(self, task: Any, step: str) -> None:
        self._task = task
        self._request = task.request
        self._step = step
        self._shown = False
        self.meta: dict[str, str] = {}
        """What is told with each: app, revision, node."""

    def show(self, phase: str) -> None:
        """Say that the step is in `phase` now."""
        self._shown = True
        self._later(self._show, phase, {**self.meta, "phase": phase})

    def end(self) -> None:
        """Forget the last state, when everything has been sent."""
        if self._shown:
            self._later(self._forget).result()

    def _later(self, what: Callable[..., None], *arguments: Any) -> Any:
        return _sender().submit(self._try, what, *arguments)

    def _try(self, what: Callable[..., None], *arguments: Any) -> None:
        try:
            what(*arguments)
        except Exception as error:  # noqa: BLE001 - what is shown must not fail what is done; Redis may be away
            _log.warning("a phase of step %s is not shown: %s", self._step, type(error).__name__)

    def _show(self, phase: str, meta: Mapping[str, str]) -> None:
        id_, app = self._request.id, self._task.app
        self._task.backend.store_result(id_, meta, phase.upper(), request=self._request)
        with app.events.default_dispatcher(hostname=self._request.hostname) as events:
            policy = app.conf.task_publish_retry_policy
            events.send(f"task-{phase}", uuid=id_, retry=True, retry_policy=policy, **meta)

    def _forget(self) -> None:
        self._task.backend.forget(self._request.id)


def _sender() -> ThreadPoolExecutor:
    """The thread of this process; a forked child gets its own."""
    pid = os.getpid()
    if pid not in _senders:
        _senders.clear()
        _senders[pid] = ThreadPoolExecutor(1, "phases")
    return _senders[pid]
