"""What others hear of failures, and what they never hear: a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
import structlog
from installation import Installation
from leaks import everything, leaked
from sentry import Sentry
from waiting import wait_for

import tasks.engine
from celeriac.settings import Settings
from runtimes.base import RuntimeFailure, Superseded
from specs.digest import digest
from specs.model import AppSpec
from state.events import Event
from state.steps import Claim, Step
from tasks import telemetry

SECRET = "s3cr3t-hunter2-of-the-shop"


@dataclass
class Story:
    """What was seen of one installation whose apps fail, and of the Sentry that it was told to."""

    sentry: Sentry
    revision: str = ""
    accepted: list[dict[str, Any]] = field(default_factory=list)
    while_refused: list[tuple[int, str]] = field(default_factory=list)
    redis: str = ""
    written: str = ""
    logs: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """An app with a secret fails three times, another once; then Sentry refuses, and more fail."""
    with Sentry() as sentry, Installation(concurrency=1, SENTRY_DSN=sentry.dsn, CELERIAC_LOG_FORMAT="json") as here:
        told = Story(sentry)
        here.app("web", env={"NOOP_FAIL": "deploy", "TOKEN": SECRET})
        here.app("well", env={"TOKEN": SECRET})
        told.revision = here.commit()
        here.start()
        here.settle()
        for _ in range(2):
            here.sync(force=True)
        here.app("marker", env={"NOOP_FAIL": "deploy"})
        here.commit()
        here.sync()
        # One process of the pool sends in order: with the marker, all before it is there.
        wait_for(lambda: any(event["tags"].get("app") == "marker" for event in sentry.events()))
        told.accepted = sentry.events()
        for number, answer in enumerate((500, 429)):
            sentry.answer, before = answer, sentry.requests
            here.app(f"more{number}", env={"NOOP_FAIL": "deploy"})
            here.app("well", f"1.{number + 1}.0", env={"TOKEN": SECRET})
            here.commit()
            record = here.sync()
            wait_for(lambda before=before: sentry.requests > before)  # type: ignore[misc]
            told.while_refused.append((record["counts"]["ok"], here.live("well").version))
        told.redis = everything(here.store.client)
        files = [path for path in (here.home / "redis").rglob("*") if path.is_file()]
        told.written = "".join(path.read_text(errors="replace") for path in files)
        told.logs = {name: here.log(name) for name in ("worker", "beat", "redis")}
        yield told


def of_app(story: Story, app: str) -> dict[str, Any]:
    (event,) = [event for event in story.accepted if event["tags"].get("app") == app]
    return event


def test_one_failure_is_one_event_though_it_is_tried_again_and_again(story: Story) -> None:
    assert [event["tags"]["app"] for event in story.accepted] == ["web", "marker"]


def test_a_failure_is_told_with_app_revision_and_node_as_one_issue_per_app_and_step(story: Story) -> None:
    event = of_app(story, "web")
    tags = event["tags"]
    assert (tags["app"], tags["revision"], tags["node"]) == ("web", story.revision, "n1")
    assert (tags["step"], tags["reason"]) == ("start", "StartFailed")
    assert event["fingerprint"] == ["celeriac", "deploy", "web", "start", "StartFailed"]
    assert event["fingerprint"] != of_app(story, "marker")["fingerprint"]
    assert event["level"] == "error"
    assert event["message"] == "web: deploy failed at start: told to fail by NOOP_FAIL"


def test_sentry_is_told_no_secret_and_nothing_of_the_message(story: Story) -> None:
    everything_sent = "\n".join(story.sentry.texts)
    assert not leaked(SECRET, everything_sent)
    assert "NOOP_FAIL=" not in everything_sent
    for event in story.accepted:
        assert "celery-job" not in event.get("extra", {})
        assert "vars" not in json.dumps(event)


def test_the_apps_do_not_care_when_sentry_refuses(story: Story) -> None:
    assert story.while_refused == [(1, "1.1.0"), (1, "1.2.0")]


def test_no_secret_is_in_redis_or_was_ever_written_to_it(story: Story) -> None:
    assert "web" in story.redis
    assert "web" in story.written
    assert not leaked(SECRET, story.redis)
    assert not leaked(SECRET, story.written)


def test_no_secret_is_in_a_log(story: Story) -> None:
    assert all(story.logs.values())
    assert not any(leaked(SECRET, text) for text in story.logs.values())


def test_each_event_is_one_structured_line(story: Story) -> None:
    lines = [json.loads(line) for line in story.logs["worker"].splitlines() if line.startswith("{")]
    (first, *_) = [line for line in lines if line["event"] == "deploy.stop" and line.get("app") == "web"]
    assert (first["level"], first["result"], first["node"], first["revision"]) == (
        "warning", "failed", "n1", story.revision,
    )  # fmt: skip
    assert first["reason"] == "StartFailed"
    assert any(line["event"] == "deploy.stop" and line["level"] == "info" for line in lines)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def test_a_log_line_holds_what_is_known_and_no_more(lines: list[Any]) -> None:
    telemetry.log(Event("deploy.stop", 1.0, app="web", result="ok", duration=0.12345, extra={"version": "1.0"}))
    telemetry.log(Event("upgrade.stop", 1.0, app="web", result="rolled_back", error="no answer"))
    assert lines == [
        {
            "event": "deploy.stop",
            "log_level": "info",
            "app": "web",
            "result": "ok",
            "duration": 0.123,
            "version": "1.0",
        },
        {"event": "upgrade.stop", "log_level": "warning", "app": "web", "result": "rolled_back", "error": "no answer"},
    ]


@pytest.mark.parametrize("form", ["json", "console"])
def test_lines_of_libraries_look_like_ours(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        telemetry.configure_logs(Settings(log_format=form))
        logging.getLogger("kombu").warning("connection %s", "lost")
        written = capsys.readouterr().err
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()
    assert "connection lost" in written
    assert "kombu" in written
    if form == "json":
        assert json.loads(written)["level"] == "warning"


def test_without_a_dsn_nobody_is_told() -> None:
    assert telemetry.init_sentry(Settings()) is False
    claim = Claim("r1", Step("web@n1", "deploy", "q", app="web"), 1, 1, "me")
    telemetry.fault(RuntimeFailure("web", "start", "boom"), claim)


def test_what_was_given_up_is_no_failure_and_a_fault_of_ours_is_in_the_log(lines: list[Any]) -> None:
    claim = Claim("r1", Step("web@n1", "deploy", "q", app="web"), 1, 1, "me")
    telemetry.fault(Superseded("a newer one waits"), claim)
    assert lines == []
    error = KeyError("x")
    telemetry.fault(error, claim)
    assert lines == [
        {"event": "unexpected", "log_level": "error", "step": "web@n1", "run": "r1", "exc_info": error},
    ]


def test_what_an_app_printed_is_told_without_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = AppSpec("web", "1.0.0", env={"TOKEN": SECRET})
    claim = Claim("r1", Step("web@n1", "deploy", "q", app="web", digest=str(digest(spec))), 1, 1, "me")
    with Sentry() as sentry:
        monkeypatch.setenv("CELERIAC_HOME", str(tmp_path))
        monkeypatch.setenv("SENTRY_DSN", sentry.dsn)
        monkeypatch.setattr(tasks.engine, "_engines", {})
        here = tasks.engine.engine()
        here.vault.put(spec)
        assert telemetry.init_sentry(here.settings)
        try:
            here.fault(RuntimeFailure("web", "start", f"main ended: cannot log in with {SECRET}"), claim)
            sentry_sdk.flush(10)
            wait_for(lambda: bool(sentry.events()))
        finally:
            sentry_sdk.init()
        (event,) = sentry.events()
        assert event["message"].startswith("web: deploy failed at start: main ended: cannot log in with ")
        assert not leaked(SECRET, "".join(sentry.texts))


def test_what_celery_adds_of_the_message_is_taken_out() -> None:
    event = {"extra": {"celery-job": {"args": ["x"]}, "other": 1}, "request": {"data": "x"}, "message": "m"}
    assert telemetry.scrubbed(event, {}) == {"extra": {"other": 1}, "message": "m"}
    assert telemetry.scrubbed({}, {}) == {}
