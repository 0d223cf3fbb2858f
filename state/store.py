"""The connection to Redis that everything else in `state` is built on: keys, scripts, pipelines, its clock.

Neighbours: `state.client` (redis itself), `state/lua` (the scripts). A Store may be used
before and after a fork: redis' own pool makes new connections in the child.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from celeriac.settings import Settings
from state.unavailable import StateUnavailable

__all__ = ["StateUnavailable", "Store", "open_store"]

_LUA = Path(__file__).parent / "lua"
_INCLUDE = "--! include "


class Store:
    """Celeriac's part of one Redis database: all its keys begin with `{prefix}:`.

    The braces make a cluster keep all of them in one slot, which scripts and transactions need.
    Every method raises StateUnavailable when Redis cannot be used.
    """

    def __init__(self, url: str, prefix: str = "celeriac") -> None:
        self.url = url
        self.prefix = prefix
        self._scripts: dict[str, Any] = {}

    @cached_property
    def client(self) -> Any:
        """The redis client; replies are text."""
        from state.client import connect

        return connect(self.url)

    def key(self, *parts: str) -> str:
        """The full name of a key."""
        return ":".join((f"{{{self.prefix}}}", *parts))

    def script(self, name: str) -> Any:
        """The script `state/lua/<name>.lua`, called as `script(keys=[...], args=[...])`."""
        if name not in self._scripts:
            self._scripts[name] = self.client.register_script(_source(name))
        return self._scripts[name]

    def pipeline(self, transaction: bool = False) -> Any:
        """A pipeline: many commands, one round trip; all or nothing when `transaction`."""
        return self.client.pipeline(transaction=transaction)

    def ping(self) -> None:
        """Raise StateUnavailable when Redis does not answer."""
        self.client.ping()

    def now(self) -> float:
        """The time by Redis' clock, which every node shares: seconds since the epoch."""
        seconds, micros = self.client.time()
        return int(seconds) + int(micros) / 1e6

    def close(self) -> None:
        """Close every connection; a later call opens new ones."""
        if "client" in self.__dict__:
            self.client.close()


def open_store(settings: Settings) -> Store:
    """The store that `settings` name. Connects at the first command."""
    return Store(settings.redis_address, settings.key_prefix)


def _source(name: str) -> str:
    """The text of a script, after that of the scripts that its first lines include."""
    text = (_LUA / f"{name}.lua").read_text(encoding="utf-8")
    included = [line.removeprefix(_INCLUDE) for line in text.splitlines() if line.startswith(_INCLUDE)]
    return "\n".join([*((_LUA / f"{part}.lua").read_text(encoding="utf-8") for part in included), text])
