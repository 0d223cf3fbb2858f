"""Forgets time limits of tasks that have ended.

Celery's timer keeps one for each task, up to an hour, until its time has come: a worker that does much grew by half a
megabyte in a thousand tasks.
"""

from __future__ import annotations

import heapq
from typing import Any

from celery import bootsteps

from tasks.celery import app

EVERY = 60.0


class Forgetting(bootsteps.StartStopStep):  # type: ignore[misc]
    """Does so once a minute. Nothing is to be stopped: it ends with the timer."""

    requires = frozenset({"celery.worker.components:Timer"})

    def start(self, parent: Any) -> None:
        """Begin."""
        parent.timer.call_repeatedly(EVERY, forget_cancelled, (parent.timer,))


def forget_cancelled(timer: Any) -> int:
    """Take cancelled entries out of kombu's `timer`; how many there were. It tells nobody of its queue."""
    queue = getattr(timer, "_queue", None)
    if queue is None:  # the timer of another kind of pool
        return 0
    left = [scheduled for scheduled in queue if not scheduled.entry.canceled]
    gone = len(queue) - len(left)
    queue[:] = left  # the very list that the timer looks at
    heapq.heapify(queue)
    return gone


app.steps["worker"].add(Forgetting)
