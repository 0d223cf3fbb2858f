"""Which nodes run an app. Pure; stable: a node that joins or leaves moves as few apps as possible.

Rendezvous hashing (Thaler and Ravishankar, 1998): each app ranks the nodes by a hash of both names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from specs.model import Placement
from state.nodes import Node

NODE_GRACE = 60.0
"""Seconds for which a node that went silent is waited for: so long a worker may take to be started anew."""


def nodes_gone(nodes: Mapping[str, Node], now: float) -> set[str]:
    """The nodes that have been silent for longer than they are waited for."""
    return {name for name, node in nodes.items() if not node.alive and now - node.seen_at > NODE_GRACE}


def candidates(placement: Placement, nodes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The nodes that may run the app: named (or all), and carrying every label. Sorted."""
    return sorted(
        name
        for name, labels in nodes.items()
        if (not placement.nodes or name in placement.nodes)
        and all(labels.get(key) == value for key, value in placement.labels.items())
    )


def place(
    app: str, placement: Placement, nodes: Mapping[str, Mapping[str, str]], running_on: Collection[str] = ()
) -> tuple[str, ...]:
    """The nodes that should run `app`: where it runs already first, then by rank. Empty: none fits."""
    able = candidates(placement, nodes)
    if len(able) <= 1:
        return tuple(able)
    ranked = sorted(able, key=lambda node: (node not in running_on, _rank(app, node)))
    return tuple(sorted(ranked[: placement.replicas]))


def _rank(app: str, node: str) -> bytes:
    return hashlib.sha256(f"{app}\0{node}".encode()).digest()
