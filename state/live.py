"""The live state as last observed: a copy of what each node saw, with its time. The truth is on the nodes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from specs.appstate import AppState
from state.documents import Remembered, decode, encode
from state.store import Store


class Live:
    """What runs where, as far as Redis knows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, Remembered[AppState]] = {}
        self._seen: dict[str, tuple[list[AppState], str]] = {}

    def states(self) -> dict[str, dict[str, AppState]]:
        """app → node → state, of every node that was ever observed."""
        nodes = list(self.observed())
        pipe = self._store.pipeline()
        for node in nodes:
            pipe.hgetall(self._key(node))
        found: dict[str, dict[str, AppState]] = {}
        for node, texts in zip(nodes, pipe.execute(), strict=True):
            for app, state in self._decoded(node, texts).items():
                found.setdefault(app, {})[node] = state
        return found

    def node(self, node: str) -> dict[str, AppState]:
        """app → state on one node."""
        return self._decoded(node, self._store.client.hgetall(self._key(node)))

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
        self._touch(client, state.name, state.node)

    def drop(self, app: str, node: str, pipe: Any = None) -> None:
        """Forget an app on a node."""
        client = pipe if pipe is not None else self._store.client
        client.hdel(self._key(node), app)
        self._touch(client, app, node)

    def replace(self, node: str, states: Mapping[str, AppState], at: float, began: float | None = None) -> bool:
        """Remember all that a node saw from `began` until `at`, all or nothing; return whether that is news.

        What was put or dropped since it `began` (when that is given) is newer and stays, and so is what was seen by an
        observation that began later. What was seen before is not written again: then this costs the same for any
        number of apps, in Redis.
        """
        seen = self._print(node, states)
        print_key, touched = self._store.key("live-print", node), self._store.key("live-touched", node)
        news = bool(self._store.client.get(print_key) != seen)
        pipe = self._store.pipeline()
        if news:
            texts = {app: encode(state) for app, state in sorted(states.items())}
            since = "+inf" if began is None else repr(began)
            news = bool(
                self._store.script("observed")(
                    keys=[self._key(node), print_key, touched],
                    args=[since, seen, *(part for entry in texts.items() for part in entry)],
                )
            )
        elif began is not None:
            pipe.zadd(touched, {"": began}, gt=True)
        pipe.hset(self._store.key("observed"), node, repr(at))
        pipe.execute()
        return news

    def is_news(self, node: str, states: Mapping[str, AppState]) -> bool:
        """Whether `replace` would find anything new in what a node saw."""
        known = self._store.client.get(self._store.key("live-print", node))
        return bool(known != self._print(node, states))

    def _print(self, node: str, states: Mapping[str, AppState]) -> str:
        """What tells these states of a node from others. What is as it was the last time is not encoded again."""
        ordered = [states[app] for app in sorted(states)]
        before = self._seen.get(node)
        if before is None or before[0] != ordered:
            text = "\n".join(map(encode, ordered))
            before = self._seen[node] = (ordered, hashlib.sha256(text.encode()).hexdigest())
        return before[1]

    def unsettle(self, node: str) -> None:
        """Let the next observation of `node` count as news."""
        self._store.client.delete(self._store.key("live-print", node))

    def forget(self, node: str) -> None:
        """Forget all of a node."""
        pipe = self._store.pipeline(transaction=True)
        pipe.unlink(self._key(node), *(self._store.key(part, node) for part in ("live-print", "live-touched")))
        pipe.hdel(self._store.key("observed"), node)
        pipe.execute()

    def _decoded(self, node: str, texts: Mapping[str, str]) -> dict[str, AppState]:
        return self._read.setdefault(node, Remembered(AppState)).decode(texts)

    def _touch(self, client: Any, app: str, node: str) -> None:
        """An observation that began before now does not know better about `app`."""
        client.zadd(self._store.key("live-touched", node), {app: time.time()})
        client.delete(self._store.key("live-print", node))

    def _key(self, node: str) -> str:
        return self._store.key("live", node)
