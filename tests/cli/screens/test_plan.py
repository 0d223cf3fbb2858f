"""The plan as people read it."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from cli.screens.plan import plan_screen


def shown(renderable: Any, width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


def action(kind: str, app: str, **given: Any) -> dict[str, Any]:
    return {
        "action": kind,
        "app": app,
        "node": "web-1",
        "from_version": "",
        "version": "",
        "reason": "",
        "after": [],
        **given,
    }


def plan(*actions: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {
        "id": "3f2a91c0",
        "revision": "a" * 40,
        "empty": not actions,
        "actions": list(actions),
        "problems": [],
        "held": [],
        **given,
    }


def test_actions_are_counted_listed_in_order_and_pinned() -> None:
    screen = shown(
        plan_screen(
            plan(
                action("deploy", "db", version="1.0"),
                action("deploy", "api", version="2.0", after=["db"]),
                action("upgrade", "web", from_version="1.0", version="1.1", reason="version changed", after=["api"]),
            )
        )
    )
    lines = screen.splitlines()
    assert lines[0] == "Plan 3f2a91c0 for aaaaaaaaa: 2 to deploy, 1 to upgrade"
    rows = [line.split() for line in lines[3:6]]
    assert rows[0] == ["+", "deploy", "db", "1.0", "web-1"]
    assert rows[1] == ["+", "deploy", "api", "2.0", "web-1", "after", "db"]
    assert rows[2] == ["~", "upgrade", "web", "1.0", "→", "1.1", "web-1", "version", "changed;", "after", "api"]
    assert lines[-1] == "carry out exactly this: celeriac sync --plan 3f2a91c0"


def test_nothing_to_do_is_said() -> None:
    assert shown(plan_screen(plan())) == "Nothing to do for aaaaaaaaa: what runs is what Git says.\n"


def test_what_is_held_back_and_what_is_wrong_are_told() -> None:
    held = [{"app": "web", "reason": "Suspended", "message": "until tonight"}]
    screen = shown(plan_screen(plan(held=held, problems=["apps/db/app.yaml:2:1: version: is required"])))
    assert screen.startswith("Nothing to do for aaaaaaaaa: what differs from Git is held back.")
    assert "Held back\n  web: Suspended: until tonight" in screen
    assert "Problems\n  apps/db/app.yaml:2:1: version: is required" in screen


def test_what_led_to_a_change_and_its_hooks_are_told() -> None:
    upgrade = action("upgrade", "web", reason="VersionChanged", hooks=["pre_deploy", "post_deploy"], after=["db"])
    repair = action("repair", "db", reason="Drift", detail="its environment file was changed", hooks=[])
    screen = shown(plan_screen(plan(upgrade, repair)), width=160)
    assert "VersionChanged; runs pre_deploy and post_deploy; after db" in screen
    assert "Drift: its environment file was changed" in screen
