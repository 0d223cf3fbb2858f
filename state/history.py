"""What was changed, per app: the last changes with the commit that asked for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from state.documents import decode, encode
from state.store import Store


@dataclass(frozen=True, slots=True)
class Change:
    """One change that was tried. `time` is seconds since the epoch, `duration` seconds; `digest` is the spec's.

    `output` are the last lines that its hooks printed.
    """

    app: str
    node: str
    time: float
    action: str
    result: str
    revision: str = ""
    author: str = ""
    subject: str = ""
    from_version: str = ""
    to_version: str = ""
    duration: float = 0.0
    why: str = ""
    run: str = ""
    digest: str = ""
    output: tuple[str, ...] = ()


class History:
    """The last `keep` changes of each app."""

    def __init__(self, store: Store, keep: int = 100) -> None:
        self._store = store
        self._keep = keep

    def add(self, change: Change, pipe: Any = None) -> None:
        """Remember a change."""
        target = pipe if pipe is not None else self._store.pipeline()
        key = self._store.key("history", change.app)
        target.lpush(key, encode(change))
        target.ltrim(key, 0, self._keep - 1)
        if pipe is None:
            target.execute()

    def of(self, app: str, count: int = 50) -> list[Change]:
        """The last changes of an app, newest first."""
        texts = self._store.client.lrange(self._store.key("history", app), 0, count - 1)
        return [decode(Change, text) for text in texts]
