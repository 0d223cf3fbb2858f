"""The documents of the public API, made from what is stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from specs.appstate import AppState
from specs.desired import DesiredApp
from specs.problem import Problem
from state.events import Event
from state.history import Change
from state.nodes import Node
from tasks import documents

TIME = 1_772_373_731.0
TEXT = "2026-03-01T14:02:11Z"


def test_an_event_has_every_field_whether_it_applies_or_not() -> None:
    assert documents.event_document(Event("deploy.stop", TIME, app="web", duration=0.5, extra={"a": 1}, id="1-0")) == {
        "id": "1-0",
        "name": "deploy.stop",
        "time": TEXT,
        "app": "web",
        "node": "",
        "revision": "",
        "run": "",
        "result": "",
        "error": "",
        "duration": 0.5,
        "extra": {"a": 1},
    }
    assert documents.event_document(Event("git.pull"))["time"] is None


def test_a_change_is_told_with_its_time_as_text() -> None:
    found = documents.change_document(Change("web", "n1", TIME, "deploy", "ok", duration=0.12345))
    assert (found["time"], found["duration"], found["from_version"]) == (TEXT, 0.123, "")


def test_a_node_is_told_with_what_is_not_known_as_none() -> None:
    found = documents.node_document(Node("n1", labels={"role": "web"}, seen_at=TIME, alive=False))
    assert (found["name"], found["alive"], found["labels"], found["seen_at"]) == ("n1", False, {"role": "web"}, TEXT)
    assert (found["pid"], found["started_at"]) == (None, None)


def test_a_desired_app_says_whether_it_is_valid_and_nothing_internal() -> None:
    problem = Problem("apps/web/app.yaml", "must be 1..65535", "health.port", 7, 3)
    app = DesiredApp("web", "web", "apps/web/app.yaml", "b1", problems=(problem,), guessed=True)
    found = documents.desired_document(app)
    assert found["valid"] is False
    assert found["problems"] == ["apps/web/app.yaml:7:3: health.port: must be 1..65535"]
    assert not {"guessed", "positions"} & set(found)
    assert documents.desired_document(DesiredApp("web", "web", "p", "b", version="1.0"))["valid"] is True
    json.dumps(found)


def test_what_was_exported_is_read_back_as_it_was() -> None:
    state = AppState(
        "web", "1.0", digest="r-e-d", status="running", health="healthy", node="n1", pid=7, depends_on=("db",),
        started_at=datetime(2026, 3, 1, tzinfo=UTC), reason="OutOfMemory", limits={"memory": "cgroup v2"},
    )  # fmt: skip
    exported = documents.live_document({"web": {"n1": state}, "gone": {}})
    assert list(exported) == ["web"]
    assert documents.live_from(json.loads(json.dumps(exported, default=str))) == {"web": {"n1": state}}


@pytest.mark.parametrize("document", [{"web": []}, {"web": {"n1": {"version": "1"}}}])
def test_what_was_not_exported_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        documents.live_from(document)
