"""The live state as last observed: a copy of what each node saw, with its time. The truth is on the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specs.appstate import AppState
from state.documents import decode, encode
from state.store import Store


class Live:
    """What runs where, as far as Redis knows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def states(self) -> dict[str, dict[str, AppState]]:
        """app → node → state, of every node that was ever observed."""
        nodes = list(self.observed())
        pipe = self._store.pipeline()
        for node in nodes:
            pipe.hgetall(self._key(node))
        found: dict[str, dict[str, AppState]] = {}
        for node, texts in zip(nodes, pipe.execute(), strict=True):
            for app, text in texts.items():
                found.setdefault(app, {})[node] = decode(AppState, text)
        return found

    def node(self, node: str) -> dict[str, AppState]:
        """app → state on one node."""
        texts = self._store.client.hgetall(self._key(node))
        return {app: decode(AppState, text) for app, text in texts.items()}

    def app(self, name: str) -> dict[str, AppState]:
        """node → state of one app."""
        nodes = list(self.observed())
        pipe = self._store.pipeline()
        for node in nodes:
            pipe.hget(self._key(node), name)
        texts = pipe.execute()
        return {node: decode(AppState, text) for node, text in zip(nodes, texts, strict=True) if text}

    def observed(self) -> dict[str, float]:
        """When each node was last observed: seconds since the epoch."""
        times = self._store.client.hgetall(self._store.key("observed"))
        return {node: float(at) for node, at in times.items()}

    def put(self, state: AppState, pipe: Any = None) -> None:
        """Remember what `state.node` saw of one app."""
        (pipe if pipe is not None else self._store.client).hset(self._key(state.node), state.name, encode(state))

    def drop(self, app: str, node: str, pipe: Any = None) -> None:
        """Forget an app on a node."""
        (pipe if pipe is not None else self._store.client).hdel(self._key(node), app)

    def replace(self, node: str, states: Mapping[str, AppState], at: float) -> None:
        """Remember all that a node saw at the time `at`, all or nothing."""
        pipe = self._store.pipeline(transaction=True)
        pipe.unlink(self._key(node))
        if states:
            pipe.hset(self._key(node), mapping={app: encode(state) for app, state in states.items()})
        pipe.hset(self._store.key("observed"), node, repr(at))
        pipe.execute()

    def forget(self, node: str) -> None:
        """Forget all of a node."""
        pipe = self._store.pipeline(transaction=True)
        pipe.unlink(self._key(node))
        pipe.hdel(self._store.key("observed"), node)
        pipe.execute()

    def _key(self, node: str) -> str:
        return self._store.key("live", node)
