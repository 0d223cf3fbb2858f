"""The environment of a hosted app: its file (CELERIAC_ENV_FILE, mode 0600) against what the process has.

Values reach a running process through this file alone: no argument list, no socket carries one.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

# What the interpreter, the loader or the server has read once and for all.
_AT_START = re.compile(
    r"PORT|PATH|HOME|USER|LOGNAME|SHELL|TZ|TMPDIR|VIRTUAL_ENV|SSL_CERT_(FILE|DIR)|(HTTPS?|ALL|NO)_PROXY"
    r"|(LC_|LANG|LD_|DYLD_|PYTHON|MALLOC_|CELERIAC_|GUNICORN_).*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class EnvChange:
    """How one environment differs from another: values that `changed`, are `new`, and names that were `removed`."""

    changed: Mapping[str, str] = field(default_factory=dict, repr=False)
    new: Mapping[str, str] = field(default_factory=dict, repr=False)
    removed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.changed or self.new or self.removed)

    @property
    def names(self) -> frozenset[str]:
        """Every variable that differs."""
        return frozenset((*self.changed, *self.new, *self.removed))


def own_port(environ: Mapping[str, str]) -> int:
    """The port that the app is to be served on. Ends the process with what to do, where PORT is none."""
    port = environ.get("PORT", "")
    if not (port.isdecimal() and 0 < int(port) < 65536):
        found = f"PORT is {port!r}" if port else "it has no PORT"
        sys.exit(f"celeriac: {found}, a hosted app needs a port: give it expose.port, a health.port, or PORT in env")
    return int(port)


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> EnvChange:
    """What must be done to `old` to make it `new`. Pure."""
    return EnvChange(
        {name: value for name, value in new.items() if name in old and old[name] != value},
        {name: value for name, value in new.items() if name not in old},
        frozenset(old.keys() - new.keys()),
    )


def at_start_only(names: Iterable[str]) -> list[str]:
    """Those of `names` that a process heeds at its start alone. Pure."""
    return sorted(name for name in names if _AT_START.fullmatch(name))


def read_env(path: Path) -> dict[str, str]:
    """The content of an environment file. Raises OSError or ValueError."""
    content = json.loads(path.read_bytes())
    return {str(name): str(value) for name, value in content.items()}


class ProcessEnv:
    """`variables`, which is `os.environ` or what a guest sees as that, changed and put back."""

    def __init__(self, variables: MutableMapping[str, str]) -> None:
        self._variables = variables
        self._before: dict[str, str | None] = {}

    def apply(self, change: EnvChange) -> None:
        """Make the process see `change`."""
        for name, value in {**change.changed, **change.new}.items():
            self.set(name, value)
        for name in change.removed:
            self.set(name, None)

    def set(self, name: str, value: str | None) -> None:
        """Set one variable, or remove it."""
        self._before.setdefault(name, self._variables.get(name))
        self._put(name, value)

    def undo(self) -> None:
        """Put back what was there before the first change."""
        for name, value in self._before.items():
            self._put(name, value)
        self._before.clear()

    def _put(self, name: str, value: str | None) -> None:
        if value is None:
            self._variables.pop(name, None)
        else:
            self._variables[name] = value
