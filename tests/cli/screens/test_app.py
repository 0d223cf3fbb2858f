"""One app in full, and why it is as it is."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from cli.screens.app import app_screen, why_screen

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def shown(renderable: Any, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


def test_everything_known_is_shown_and_what_is_unknown_is_left_out() -> None:
    app = {
        "sync": "synced",
        "status": "running",
        "health": "healthy",
        "version": "1.0",
        "desired_version": "1.0",
        "node": "web-1",
        "pid": 4711,
        "started_at": "2026-03-01T11:00:00Z",
        "reason": "",
        "message": "",
        "depends_on": ["db", "cache"],
        "description": "The shop",
        "digest": "abc",
    }
    screen = shown(app_screen("shop", app, NOW))
    lines = [line.split() for line in screen.splitlines()]
    assert lines[0] == ["shop", "1.0", "The", "shop"]
    assert ["pid", "4711"] in lines
    assert ["depends", "on", "db,", "cache"] in lines
    assert ["digest", "abc"] in lines
    assert "(1h)" in screen
    assert "reason" not in screen


def test_why_reads_like_an_answer() -> None:
    answer = {
        "app": "web",
        "sync": "out_of_sync",
        "status": "failed",
        "health": "unhealthy",
        "reason": "HealthFailed",
        "message": "GET /health: connection refused",
        "explanation": "Version 1.1 started, and did not answer for 30 s. 1.0 was put back.",
        "next": "It is tried again in 2m, or at once when apps/web/app.yaml changes.",
        "log": ["Traceback", "\x1b[2JImportError: flask [extra]"],
    }
    assert shown(why_screen(answer)).splitlines() == [
        "web is out of sync, failed and unhealthy (HealthFailed).",
        "",
        "Version 1.1 started, and did not answer for 30 s. 1.0 was put back.",
        "",
        "GET /health: connection refused",
        "",
        "The last it said:",
        "  Traceback",
        "  ImportError: flask [extra]",
        "",
        "What to do: It is tried again in 2m, or at once when apps/web/app.yaml changes.",
    ]


def test_why_of_an_app_that_is_well_is_short() -> None:
    answer = {
        "app": "web",
        "sync": "synced",
        "status": "running",
        "health": "healthy",
        "reason": "",
        "message": "",
        "explanation": "All is as Git says.",
        "next": "",
        "log": [],
    }
    assert shown(why_screen(answer)) == "web is synced, running and healthy.\n\nAll is as Git says.\n"
