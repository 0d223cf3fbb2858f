"""A number that lives in the process: a restart would lose it, a hot reload does not."""

from __future__ import annotations

import threading


class Tally:
    """A number. Threads may use it side by side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 0

    @property
    def value(self) -> int:
        """The number as it is."""
        return self._value

    def increase(self) -> int:
        """Count one more, and return the new number."""
        with self._lock:
            self._value += 1
            return self._value
