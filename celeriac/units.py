"""Durations and sizes as people write them: `30s`, `512MB`.

Pure. Used by the settings and by the spec schema, so that both read alike.
"""

from __future__ import annotations

import re
from decimal import Decimal

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}


def parse_duration(value: str | int | float) -> float:
    """Seconds in `value`: a bare number is milliseconds, a string takes ms, s, m, h or d.

    Raises ValueError with a message for users when it is neither, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a duration such as 30s, 500ms or 2m")
    if isinstance(value, int | float):
        seconds = value / 1000 if abs(value) < 1e15 else -1.0
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*", value)
        if match is None:
            raise ValueError(f"{value!r} is not a duration; write 30s, 500ms or 2m")
        seconds = float(match[1]) * _DURATION_UNITS[match[2] or "ms"]
    if not 0 <= seconds < 366 * 86400:
        raise ValueError("must be between 0 and one year")
    return seconds


def format_duration(seconds: float) -> str:
    """`seconds` in the shortest form that people say: 350ms, 4.2s, 2m, 1h 5m."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s".replace(".0s", "s")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes}m" if minutes else f"{hours}h"
    return f"{hours // 24}d"


def parse_size(value: str | int) -> int:
    """Bytes in `value`: a number, or a string with B, KB, MB, GB, KiB, MiB or GiB.

    Raises ValueError with a message for users.
    """
    if isinstance(value, bool):
        raise ValueError("must be a size such as 512MB")
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    if match is None or match[2].upper() not in _SIZE_UNITS:
        raise ValueError(f"{value!r} is not a size; write 512MB or 1GiB")
    size = int(Decimal(match[1]) * _SIZE_UNITS[match[2].upper()])
    if not 0 < size < 2**63:
        raise ValueError("must be more than 0 bytes, and less than 8 EiB")
    return size
