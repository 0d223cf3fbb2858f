"""Every command of the command line that looks at, or changes, a Celeriac that runs; its JSON as docs/json.md says.

The names of the fields are read from that page, so that page and commands cannot say different things.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machine import Machine

pytestmark = pytest.mark.e2e

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text(encoding="utf-8")


@pytest.fixture
def here() -> Iterator[Machine]:
    """A machine on which nothing runs yet."""
    with Machine() as made:
        yield made


def documented(section: str) -> list[set[str]]:
    """The names of the fields in each table of a section; without a table, those in its sentence `A list …`."""
    text = re.split(r"^## ", PAGE.split(f"\n## {section}\n")[1], flags=re.MULTILINE)[0]
    tables = re.findall(r"^\| field \| \|\n\| --- \| --- \|\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    if not tables:
        (sentence,) = re.findall(r"^A list[^.]*\.", text, flags=re.MULTILINE)
        return [set(re.findall(r"`(\w+)`", re.sub(r"`: `.*", "`", sentence, flags=re.DOTALL)))]
    return [
        {name.strip() for row in table.splitlines() for name in row.split("|")[1].split(",")} - {""} for table in tables
    ]


def fields(document: Any, section: str, number: int = 0) -> None:
    """Fail unless `document` has each field that the page promises."""
    assert documented(section)[number] <= document.keys(), section


def read(here: Machine, *words: str, code: int = 0) -> Any:
    """What a command prints as JSON."""
    return json.loads(here.cli(*words, "--json", code=code))


def test_each_command_that_looks_prints_what_its_page_says(here: Machine) -> None:
    here.example("counter")
    here.example("ticker")
    here.web("counter", env={"GREETING": "between us"})
    here.ticker()
    here.deployed()

    status = read(here, "status")
    fields(status, "status")
    assert set(status["apps"]) == {"counter", "ticker"}
    for app in status["apps"].values():
        fields(app, "status", 1)
    one = read(here, "app", "counter")
    assert status["apps"]["counter"].keys() <= one.keys()
    why = read(here, "why", "counter")
    fields(why, "why")
    assert (why["app"], why["sync"], why["next"]) == ("counter", "synced", "")
    (change,) = read(here, "history", "counter")
    fields(change, "history")
    assert (change["action"], change["to_version"], change["author"], change["result"]) == (
        "deploy", "1.0.0", "Test", "ok",
    )  # fmt: skip
    (line,) = read(here, "logs", "counter")
    fields(line, "logs")
    assert "counting on" in line["line"]
    events = read(here, "events")
    for event in events:
        fields(event, "events")
    assert [event["id"] for event in events] == sorted(event["id"] for event in events)
    (node,) = read(here, "nodes")
    fields(node, "nodes")
    assert (node["name"], node["alive"], node["runtime"]) == ("n1", True, "process")
    doctor = read(here, "doctor")
    fields(doctor, "doctor")
    assert {"name", "result", "detail", "advice"} <= doctor["checks"][0].keys()
    results = {check["name"]: check["result"] for check in doctor["checks"]}
    assert (results["redis"], results["worker"], results["beat"], results["supervisor"]) == ("ok", "ok", "ok", "ok")
    checked = read(here, "validate", str(here.repo))
    fields(checked, "validate")
    for setting in read(here, "config"):
        fields(setting, "config")
    everything = [here.cli(*words, code=None) for words in (("app", "counter"), ("why", "counter"), ("events",))]
    assert not any("between us" in text for text in [*everything, json.dumps([status, one, why, events])])


def test_a_plan_is_shown_pinned_and_carried_out(here: Machine) -> None:
    here.example("counter")
    here.example("ticker")
    here.web("counter")
    here.deployed()
    nothing = read(here, "plan")
    fields(nothing, "plan")
    assert nothing["empty"]
    exported = here.folder / "live.json"
    exported.write_text(here.cli("status", "--live"))
    here.web("counter", "1.1.0")
    here.ticker()
    revision = here.commit()
    planned = read(here, "plan", "--revision", "main", code=3)
    assert planned["revision"] == revision
    for action in planned["actions"]:
        fields(action, "plan", 1)
    assert [(a["action"], a["app"], a["from_version"], a["version"]) for a in planned["actions"]] == [
        ("upgrade", "counter", "1.0.0", "1.1.0"),
        ("deploy", "ticker", "", "1.0.0"),
    ]
    assert planned["actions"][1]["after"] == ["counter"]
    assert read(here, "plan", "--revision", "main", "--live", str(exported), code=3)["id"] == planned["id"]

    refused = read(here, "sync", "--wait", "--plan", "nothing-like-it", code=1)
    assert "plan" in refused["error"]
    assert here.status()["apps"]["counter"]["version"] == "1.0.0"
    record = read(here, "sync", "--wait", "--plan", planned["id"])
    fields(record, "sync, rollback, restart, remove", 1)
    assert record["counts"] == {"ok": 2}
    assert here.is_synced()


def test_an_app_is_restarted_and_rolled_back_by_hand(here: Machine) -> None:
    here.example("counter")
    here.web("counter")
    here.deployed()
    here.web("counter", "1.1.0")
    here.commit()
    fields(read(here, "sync"), "sync, rollback, restart, remove")
    here.cli("sync", "--wait")
    assert here.get("counter")["version"] == "1.1.0"

    pid = here.pid("counter")
    record = read(here, "restart", "counter")
    fields(record, "sync, rollback, restart, remove", 1)
    assert [step["state"] for step in record["steps"]] == ["ok"]
    assert here.pid("counter") != pid

    here.cli("rollback", "counter")
    assert here.get("counter")["version"] == "1.0.0"
    held = read(here, "status", code=3)["apps"]["counter"]
    assert (held["version"], held["desired_version"], held["reason"]) == ("1.0.0", "1.1.0", "HeldByHand")
    here.cli("sync", "--wait", code=None)
    assert here.get("counter")["version"] == "1.0.0"
    here.cli("rollback", "counter", "--to", "1.1.0")
    assert here.get("counter")["version"] == "1.1.0"


def test_an_app_is_left_alone_taken_up_again_and_removed_by_hand(here: Machine) -> None:
    here.example("counter")
    here.web("counter", "1.1.0")
    here.deployed()
    here.cli("suspend", "counter", "--until", "1h", "--reason", "looking at it")
    here.web("counter", "1.0.0")
    here.commit()
    here.cli("sync", "--wait", code=None)
    left = read(here, "app", "counter")
    assert (left["sync"], left["version"]) == ("suspended", "1.1.0")
    assert "looking at it" in left["message"]
    here.cli("resume", "counter")
    here.cli("sync", "--wait")
    assert here.get("counter")["version"] == "1.0.0"

    pid = here.pid("counter")
    here.cli("remove", "counter", "--yes")
    assert here.pids("counter") == []
    here.cli("sync", "--wait")
    assert here.pid("counter") != pid
    assert here.get("counter")["version"] == "1.0.0"
