"""Keeps hold of the steps that this process is at: one thread renews all their leases.

When a lease cannot be renewed since another took over, the step is `lost`: its work is told to give up.
While Redis does not answer nothing is lost: the lease is taken up again when it is back.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator

from state.runs import Runs
from state.steps import Claim
from state.unavailable import StateUnavailable


class Kept:
    """A claimed step while it is worked at."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.lost = False


class Keeper:
    """Renews leases every third of their time."""

    def __init__(self, runs: Runs, ttl: float) -> None:
        self._runs = runs
        self._ttl = ttl
        self._kept: set[Kept] = set()
        self._lock = threading.Lock()
        self._pid = 0

    @contextlib.contextmanager
    def keep(self, claim: Claim) -> Iterator[Kept]:
        """Hold `claim` for the length of the block."""
        kept = Kept(claim)
        with self._lock:
            self._kept.add(kept)
            if self._pid != os.getpid():  # a thread does not live on in a forked child
                self._pid = os.getpid()
                threading.Thread(target=self._renew, name="celeriac-leases", daemon=True).start()
        try:
            yield kept
        finally:
            with self._lock:
                self._kept.discard(kept)

    def _renew(self) -> None:
        while True:
            time.sleep(self._ttl / 3)
            with self._lock:
                kept = [one for one in self._kept if not one.lost]
            for one in kept:
                with contextlib.suppress(StateUnavailable):
                    one.lost = not self._runs.renew(one.claim, self._ttl) and one in self._kept
