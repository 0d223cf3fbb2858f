"""What hooks print, on disk beside the logs of the app's processes: `<home>/logs/<app>.hook.log`.

`celeriac logs` finds it there as the process `hook`. Credentials are masked before a line is written or kept.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock

from sources.masking import mask, secrets_of
from specs.model import HOOK_LOG

_BYTES = 10 * 1000 * 1000
_BACKUPS = 3
_SECRET_NAME = re.compile(r"pass(?!ive|enger)|pwd|secret|token|key|credential|auth|dsn", re.IGNORECASE)
_SHORTEST = 6  # what is shorter cannot be told from ordinary text


def log_path(home: Path, app: str) -> Path:
    """The log of the hooks of `app`."""
    return home / "logs" / f"{app}.{HOOK_LOG}.log"


def secrets_in(env: Mapping[str, str]) -> tuple[str, ...]:
    """What must not be seen of an environment: passwords in URLs, and values whose names say that they are secret."""
    found = set(secrets_of(*(value for value in env.values() if "://" in value)))
    for value in (value for name, value in env.items() if _SECRET_NAME.search(name)):
        # Output is masked line by line, and so is a secret of several lines.
        found |= {part for part in (value, *map(str.strip, value.splitlines())) if len(part) >= _SHORTEST}
    return tuple(sorted(found, key=lambda secret: (-len(secret), secret)))


class HookLog:
    """Appends masked lines to the log of an app's hooks; may be called by several threads."""

    def __init__(self, home: Path, app: str, secrets: Iterable[str] = ()) -> None:
        self._path = log_path(home, app)
        self._secrets = tuple(secrets)
        self._lock = Lock()

    def begin(self, title: str) -> None:
        """Begin what belongs to one hook; a log that has grown long is set aside."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > _BYTES:
                for number in range(_BACKUPS, 0, -1):
                    older = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
                    if older.exists():
                        older.replace(self._path.with_name(f"{self._path.name}.{number}"))
        self.line(f"--- {title} ---")

    def line(self, text: str) -> None:
        """Append one line. That a disk is full must not end a migration: then it is lost."""
        content = self.masked(text).encode("utf-8", "replace") + b"\n"
        with self._lock, contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            try:
                os.write(descriptor, content)
            finally:
                os.close(descriptor)

    def masked(self, text: str) -> str:
        """`text` without credentials."""
        return mask(text, self._secrets)
