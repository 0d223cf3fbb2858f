"""Events, history and nodes as people read them."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from cli.screens.records import event_line, history_screen, nodes_screen

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def shown(renderable: Any, width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


def test_event_is_one_line_however_many_its_error_has() -> None:
    event = {
        "name": "deploy.stop",
        "time": NOW.timestamp(),
        "app": "web",
        "node": "web-1",
        "revision": "c" * 40,
        "result": "failed",
        "duration": 4.2,
        "error": "does not build\nsee the log",
        "extra": {"stage": "build"},
    }
    line = event_line(event).plain
    assert line[9:] == "deploy.stop web on web-1 ccccccccc failed 4.2s stage=build does not build see the log"


def test_history_tells_what_changed_who_and_why() -> None:
    change = {
        "time": "2026-03-01T11:00:00Z",
        "action": "upgrade",
        "revision": "d" * 40,
        "author": "Ada",
        "subject": "Faster",
        "from_version": "1.0",
        "to_version": "1.1",
        "result": "ok",
        "duration": 3,
        "why": "",
        "node": "n1",
    }
    row = shown(history_screen("web", [change], NOW)).splitlines()[1]
    assert row.split() == ["1h", "ago", "upgrade", "1.0", "→", "1.1", "ok", "n1", "3s", "ddddddddd", "Ada", "Faster"]
    assert shown(history_screen("web", [], NOW)) == "Nothing has happened to web yet.\n"


def node(name: str, **given: Any) -> dict[str, Any]:
    return {"name": name, "runtime": "process", "version": "0.1.0", "started_at": NOW.timestamp() - 7200, **given}


def test_nodes_tell_which_are_down() -> None:
    nodes = [
        node("a", alive=True, seen_at=NOW.timestamp() - 3, labels={"role": "web", "zone": "b"}),
        node("b", alive=False, seen_at=NOW.timestamp() - 300, labels={}),
    ]
    rows = [line.split() for line in shown(nodes_screen(nodes, NOW)).splitlines()]
    assert rows[1] == ["a", "up", "3s", "ago", "2h", "process", "0.1.0", "role=web,zone=b"]
    assert rows[2] == ["b", "down", "5m", "ago", "process", "0.1.0"]
    assert "No node has reported yet" in shown(nodes_screen([], NOW))
