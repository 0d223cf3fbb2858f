"""A number that survives a restart: kept in a file of the working folder, which upgrades leave alone."""

from __future__ import annotations

import threading
from pathlib import Path


class Tally:
    """The number in `file`. Threads may use it side by side."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._value = int(file.read_text()) if file.exists() else 0

    @property
    def value(self) -> int:
        """The number as it is."""
        return self._value

    def increase(self) -> int:
        """Count one more, on disk too, and return the new number."""
        with self._lock:
            self._value += 1
            written = self._file.with_suffix(".new")
            written.write_text(str(self._value))
            written.replace(self._file)
            return self._value
