"""The live state as last observed: a copy of what each node saw, with its time. The truth is on the nodes."""

from __future__ import annotations

import hashlib
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
        client = pipe if pipe is not None else self._store.client
        client.hset(self._key(state.node), state.name, encode(state))
        client.delete(self._store.key("live-print", state.node))

    def drop(self, app: str, node: str, pipe: Any = None) -> None:
        """Forget an app on a node."""
        client = pipe if pipe is not None else self._store.client
        client.hdel(self._key(node), app)
        client.delete(self._store.key("live-print", node))

    def replace(self, node: str, states: Mapping[str, AppState], at: float) -> bool:
        """Remember all that a node saw at the time `at`, all or nothing; return whether that is news.

        What was seen before is not written again: then this costs the same for any number of apps, in Redis.
        """
        texts = {app: encode(state) for app, state in sorted(states.items())}
        seen = hashlib.sha256("\n".join(texts.values()).encode()).hexdigest()
        print_key = self._store.key("live-print", node)
        known = self._store.client.get(print_key)
        pipe = self._store.pipeline(transaction=True)
        if known != seen:
            pipe.unlink(self._key(node))
            if texts:
                pipe.hset(self._key(node), mapping=texts)
            pipe.set(print_key, seen)
        pipe.hset(self._store.key("observed"), node, repr(at))
        pipe.execute()
        return bool(known != seen)

    def unsettle(self, node: str) -> None:
        """Let the next observation of `node` count as news."""
        self._store.client.delete(self._store.key("live-print", node))

    def forget(self, node: str) -> None:
        """Forget all of a node."""
        pipe = self._store.pipeline(transaction=True)
        pipe.unlink(self._key(node), self._store.key("live-print", node))
        pipe.hdel(self._store.key("observed"), node)
        pipe.execute()

    def _key(self, node: str) -> str:
        return self._store.key("live", node)
