"""The field `windows`: read with the place of each fault, described to editors."""

from __future__ import annotations

from celeriac.windows import Window
from specs.digest import digest
from specs.jsonschema import json_schema
from specs.loader import load, summary

SPEC = """name: web
version: "1.0"
windows:
  - {allow: "0 22 * * 1-5", for: 8h, timezone: Europe/Berlin}
  - deny: 0 0 24 12 *
    for: 3d
"""


def problems(text: str) -> list[str]:
    return [str(problem) for problem in load("app.yaml", text.encode(), "web").problems]


def test_windows_are_read_and_are_in_the_summary() -> None:
    loaded = load("app.yaml", SPEC.encode(), "web")
    assert loaded.problems == ()
    assert loaded.spec is not None
    assert loaded.spec.windows == (
        Window("allow", "0 22 * * 1-5", 28800.0, "Europe/Berlin"),
        Window("deny", "0 0 24 12 *", 259200.0),
    )
    assert summary(loaded, "app.yaml", "b", "web").windows == loaded.spec.windows


def test_a_fault_is_told_with_its_place() -> None:
    assert problems(SPEC.replace("22 *", "25 *")) == [
        "app.yaml:4:6: windows[0].allow: is not a cron expression: bad hour"
    ]
    assert problems(SPEC.replace("for: 3d", "for: 3s")) == ["app.yaml:6:5: windows[1].for: must be at least 1m"]
    assert problems(SPEC.replace("for: 3d", "from: 3d"))[0].startswith("app.yaml:5:5: windows[1].for: is required")
    assert "Did you mean `for`?" in problems(SPEC.replace("for: 3d", "fro: 3d"))[1]
    assert "cannot go together with allow" in problems(SPEC.replace("for: 8h", 'deny: "0 1 * * *", for: 8h'))[0]
    assert "is not a time zone" in problems(SPEC.replace("Europe/Berlin", "Berlin"))[0]
    assert "must be a list" in problems('name: web\nversion: "1"\nwindows: {allow: x}\n')[0]


def test_windows_are_no_reason_to_restart_anything() -> None:
    one = load("app.yaml", SPEC.encode(), "web").spec
    other = load("app.yaml", SPEC.replace("3d", "4d").encode(), "web").spec
    assert one is not None
    assert other is not None
    assert digest(one) != digest(other)
    assert digest(one).runs_like(digest(other))


def test_editors_are_told_what_a_window_is() -> None:
    item = json_schema()["properties"]["windows"]["items"]
    assert set(item["properties"]) == {"allow", "deny", "for", "timezone"}
    assert item["required"] == ["for"]
    assert item["additionalProperties"] is False
