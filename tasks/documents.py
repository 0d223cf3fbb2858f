"""The documents of the public API and of `--json` (docs/json.md), made from what is stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from reconciler.status import time_text
from specs.appstate import AppState
from specs.desired import DesiredApp
from state.events import Event
from state.history import Change
from state.nodes import Node


def event_document(event: Event) -> dict[str, Any]:
    """One event."""
    return {
        "id": event.id,
        "name": event.name,
        "time": time_text(event.time),
        "app": event.app,
        "node": event.node,
        "revision": event.revision,
        "run": event.run,
        "result": event.result,
        "error": event.error,
        "duration": event.duration,
        "extra": dict(event.extra),
    }


def change_document(change: Change) -> dict[str, Any]:
    """One change of an app's history."""
    return {**msgspec.to_builtins(change), "time": time_text(change.time), "duration": round(change.duration, 3)}


def node_document(node: Node) -> dict[str, Any]:
    """One node."""
    return {
        "name": node.name,
        "alive": node.alive,
        "labels": dict(node.labels),
        "runtime": node.runtime,
        "version": node.version,
        "pid": node.pid or None,
        "boot": node.boot,
        "started_at": time_text(node.started_at),
        "seen_at": time_text(node.seen_at),
    }


def desired_document(app: DesiredApp) -> dict[str, Any]:
    """One app as Git says."""
    document: dict[str, Any] = msgspec.to_builtins(app)
    for internal in ("guessed", "positions"):
        document.pop(internal)
    document["valid"] = app.valid
    document["problems"] = [str(problem) for problem in app.problems]
    return document


def live_document(states: Mapping[str, Mapping[str, AppState]]) -> dict[str, dict[str, Any]]:
    """app → node → state, as it was observed."""
    return {
        name: {node: msgspec.to_builtins(state) for node, state in sorted(by_node.items())}
        for name, by_node in sorted(states.items())
        if by_node
    }


def live_from(document: Mapping[str, Any]) -> dict[str, dict[str, AppState]]:
    """What `live_document` made, read back. Raises msgspec.ValidationError."""
    return msgspec.convert(document, type=dict[str, dict[str, AppState]])
