"""Whether a message that arrives still counts, told by the clock of Redis: machines' own clocks may differ.

Celery compares the time until which a message counts with the clock of the machine that takes it. Where that was half
a minute ahead, every message about a step was dropped, and nothing was ever done there.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from celery.worker.request import Request
from celery.worker.state import revoked

from state.store import Store

_ahead = 0.0


def measure(store: Store) -> float:
    """Seconds that the clock of Redis is ahead of ours, kept for messages that arrive at this process."""
    global _ahead
    _ahead = store.now() - time.time()
    return _ahead


class Arrival(Request):  # type: ignore[misc]
    """A message that this worker has taken."""

    def maybe_expire(self) -> bool:
        """Whether its time is over; then it counts as revoked."""
        if not self.expires or datetime.now(UTC) + timedelta(seconds=_ahead) <= self.expires:
            return False
        revoked.add(self.id)
        return True
