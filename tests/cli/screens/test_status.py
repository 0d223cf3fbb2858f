"""The overview: what the eye needs first, at any width, for any number of apps."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.screens.status import changes, in_trouble, overview

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def app(**given: Any) -> dict[str, Any]:
    return {
        "sync": "synced",
        "status": "running",
        "health": "healthy",
        "version": "1.0",
        "desired_version": "1.0",
        "node": "web-1",
        "pid": 100,
        "started_at": "2026-03-01T10:55:00Z",
        "reason": "",
        "message": "",
        "depends_on": [],
        **given,
    }


def status(apps: dict[str, dict[str, Any]], **given: Any) -> dict[str, Any]:
    return {
        "status": "synced",
        "revision": "0123456789abcdef" * 2 + "01234567",
        "branch": "main",
        "app_count": len(apps),
        "healthy_count": sum(one["health"] == "healthy" for one in apps.values()),
        "last_sync": "2026-03-01T11:59:48Z",
        "next_sync": "2026-03-01T12:00:48Z",
        "apps": apps,
        **given,
    }


def shown(renderable: Any, width: int = 80, *, colour: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(renderable)
    out = console.file
    assert isinstance(out, io.StringIO)
    return out.getvalue()


def test_first_line_tells_the_whole() -> None:
    first = shown(overview(status({"web": app(), "db": app(health="unknown")}), NOW), 120).splitlines()[0]
    assert first.split("  ") == ["● synced", "012345678 on main", "1/2 healthy", "last sync 12s ago, next in 48s"]


def test_every_app_is_a_row_with_versions_and_how_long_it_runs() -> None:
    screen = shown(overview(status({"web": app(desired_version="1.1", sync="out_of_sync")}), NOW))
    row = next(line for line in screen.splitlines() if line.startswith("web "))
    assert row.split() == ["web", "1.0", "→", "1.1", "out", "of", "sync", "running", "healthy", "web-1", "1h", "5m"]


def test_reason_and_message_of_what_is_wrong_are_below() -> None:
    apps = {
        "web": app(sync="blocked", reason="DependencyFailed", message="waits for db"),
        "fine": app(),
    }
    screen = shown(overview(status(apps, status="degraded"), NOW))
    assert "web: DependencyFailed waits for db" in screen
    assert "celeriac why web says more" in screen
    assert "fine:" not in screen


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    apps = {
        f"an-app-with-a-rather-long-name-{number:02}": app(version="10.20.30", desired_version="10.21.0")
        for number in range(9)
    }
    assert all(cell_len(line) <= width for line in shown(overview(status(apps), NOW), width).splitlines())


def test_states_stay_readable_at_80_columns_when_names_are_long() -> None:
    apps = {"x" * 63: app(version="10.20.30", desired_version="10.21.0", sync="out_of_sync", health="unhealthy")}
    row = shown(overview(status(apps), NOW)).splitlines()[3]
    for word in ("10.20.30 → 10.21.0", "out of sync", "running", "unhealthy", "web-1"):
        assert word in row


@pytest.mark.parametrize("width", [30, 40, 80])
def test_the_names_of_apps_are_there_at_any_width(width: int) -> None:
    apps = {"greeter": app(desired_version="1.1.0rc1", sync="out_of_sync", node="node-12.rack-3.example.com")}
    lines = shown(overview(status(apps), NOW), width).splitlines()
    assert lines[3].startswith("greeter ")
    assert all(cell_len(line) <= width for line in lines)


def test_hundreds_of_apps_fit_a_live_screen_and_troubled_ones_are_on_it() -> None:
    apps = {f"app-{number:03}": app() for number in range(400)}
    apps["zz-last"] = app(status="failed", health="unhealthy", reason="BuildFailed", message="no such version")
    screen = shown(overview(status(apps, status="degraded"), NOW, height=24)).splitlines()
    assert len(screen) <= 24
    assert any(line.startswith("zz-last ") for line in screen)
    assert any(line.startswith("app-000 ") for line in screen)
    assert any("more: celeriac status" in line for line in screen)


def test_hundreds_of_failures_do_not_hide_the_table_below_reasons() -> None:
    apps = {f"app-{number:03}": app(status="failed", reason="BuildFailed", message="no") for number in range(300)}
    screen = shown(overview(status(apps, status="error"), NOW)).splitlines()
    assert sum(line.startswith("app-") and ": BuildFailed" in line for line in screen) == 20
    assert "… and 280 more that need a look" in screen


def test_no_apps_yet_is_friendly() -> None:
    assert "No apps yet. Commit one as apps/NAME/app.yaml" in shown(overview(status({}, status="ready"), NOW), 120)
    assert "the first sync has not ended" in shown(overview(status({}, status="initializing", revision=""), NOW))


def test_colours_are_for_terminals_alone() -> None:
    one = status({"web": app()})
    assert "\x1b[" in shown(overview(one, NOW), colour=True)
    assert "\x1b[" not in shown(overview(one, NOW))


def test_brackets_and_escapes_in_a_message_stay_text() -> None:
    apps = {"web": app(status="failed", reason="BuildFailed", message="[red]see[/red] \x1b[2Jthis")}
    assert "[red]see[/red] this" in shown(overview(status(apps), NOW))


@pytest.mark.parametrize(
    ("given", "trouble"),
    [
        ({}, False),
        ({"sync": "suspended", "reason": "Suspended"}, False),
        ({"sync": "out_of_sync", "status": "pending"}, False),
        ({"sync": "out_of_sync", "reason": "RolledBack"}, True),
        ({"sync": "invalid"}, True),
        ({"health": "unhealthy"}, True),
        ({"status": "failed"}, True),
    ],
)
def test_trouble_is_what_somebody_should_look_at(given: dict[str, Any], trouble: bool) -> None:
    assert in_trouble(app(**given)) is trouble


def test_changes_are_told_once_and_only_for_what_changed() -> None:
    before = status({"web": app(), "old": app()})
    after = status({"web": app(health="unhealthy", reason="HealthFailed", message="no answer")}, status="degraded")
    assert list(changes(before, after)) == [
        "degraded at 012345678",
        "old: gone",
        "web 1.0: synced, running, unhealthy (HealthFailed: no answer)",
    ]
    assert list(changes(after, after)) == []
