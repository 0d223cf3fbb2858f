"""When a failed app is tried again: exponential, bounded, with jitter. Pure."""

from __future__ import annotations

import hashlib

FIRST = 30.0
LONGEST = 1800.0
_SPREAD = 0.2


def delay(attempts: int, key: str) -> float:
    """Seconds to wait after `attempts` failures in a row: 30 s, 1 min, 2 min … 30 min, 0.8 to 1 times that.

    The jitter comes from `key` and the count, not from chance, so that the same failure told
    twice (a message delivered again) gives the same time.
    """
    if attempts < 1:
        return 0.0
    longest = min(FIRST * 2.0 ** min(attempts - 1, 20), LONGEST)
    share = int.from_bytes(hashlib.sha256(f"{key}:{attempts}".encode()).digest()[:4], "big") / 2**32
    return longest * (1 - _SPREAD * share)
