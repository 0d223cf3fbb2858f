"""The machines that do work: each worker says every few seconds that it is there; silence is death after `ttl`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from state.documents import decode, encode
from state.store import Store


@dataclass(frozen=True, slots=True)
class Node:
    """One machine. `boot` differs for each start of its worker, whose process is `pid`. Times since the epoch."""

    name: str
    boot: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    runtime: str = ""
    version: str = ""
    pid: int = 0
    started_at: float = 0.0
    seen_at: float = 0.0
    alive: bool = True


class Nodes:
    """All machines that were ever seen."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def beat(self, node: Node, ttl: float = 30.0) -> None:
        """Say that `node` is there for another `ttl` seconds."""
        pipe = self._store.pipeline()
        pipe.set(self._store.key("node", node.name), node.boot, px=int(ttl * 1000))
        pipe.hset(self._store.key("nodes"), node.name, encode(node))
        pipe.execute()

    def all(self) -> dict[str, Node]:
        """Every known node by name; `alive` is false for those that went silent."""
        texts = self._store.client.hgetall(self._store.key("nodes"))
        names = sorted(texts)
        boots = self._store.client.mget([self._store.key("node", name) for name in names]) if names else []
        return {
            name: replace(decode(Node, texts[name]), alive=boot is not None)
            for name, boot in zip(names, boots, strict=True)
        }

    def leave(self, node: Node) -> None:
        """Say that `node` stops: it is not waited for."""
        if self._store.client.get(self._store.key("node", node.name)) == node.boot:
            self._store.client.delete(self._store.key("node", node.name))

    def forget(self, name: str) -> None:
        """Forget a node that will not come back."""
        pipe = self._store.pipeline()
        pipe.delete(self._store.key("node", name))
        pipe.hdel(self._store.key("nodes"), name)
        pipe.execute()
