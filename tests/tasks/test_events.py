"""The events as Celery signals, and as the function of the same name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.utils.dispatch import Signal
from workbench import Workbench

import tasks
from state.events import Event
from tasks import events, telemetry
from tasks.events import NAMES, deploy_start, deploy_stop, reconcile_stop, send

ROOT = Path(__file__).parents[2]


@pytest.fixture
def heard() -> Iterator[list[Any]]:
    """What receivers were told; they are disconnected with the test."""
    told: list[Any] = []

    def receive(sender: str, event: Event, **_: Any) -> None:
        told.append((sender, event.app, event.result))

    for signal in (deploy_start, deploy_stop, reconcile_stop):
        signal.connect(receive)
    yield told
    for signal in (deploy_start, deploy_stop, reconcile_stop):
        signal.disconnect(receive)


def test_every_event_has_a_signal_of_its_name() -> None:
    for name in NAMES:
        signal = getattr(events, name.replace(".", "_"))
        assert isinstance(signal, Signal)
        assert signal.name == name.replace(".", "_")


def test_receivers_hear_of_a_deployment_in_its_order(bench: Workbench, heard: list[Any]) -> None:
    bench.engine.listeners += telemetry.listeners()
    bench.app("web")
    bench.app("bad", NOOP_FAIL="deploy")
    bench.commit()
    bench.sync()
    assert [entry for entry in heard if entry[1] == "web"] == [
        ("deploy.start", "web", ""),
        ("deploy.stop", "web", "ok"),
    ]
    assert ("deploy.stop", "bad", "failed") in heard
    assert heard[-1] == ("reconcile.stop", "", "degraded")


def test_each_event_that_is_told_is_one_that_people_can_connect_to(bench: Workbench) -> None:
    for env in ({}, {"COLOUR": "blue"}, {"NOOP_UNHEALTHY": "1"}):
        bench.app("other", str(len(env) + 1))
        bench.app("web", "2.0.0" if "NOOP_UNHEALTHY" in env else "1.0.0", **env)
        bench.commit()
        bench.sync()
    bench.drop("web")
    bench.commit()
    bench.sync()
    told = {event.name for event in bench.told}
    assert told <= set(NAMES)
    assert told >= {f"{task}.{end}" for task in ("upgrade", "reconfigure", "rollback") for end in ("start", "stop")}


def test_a_receiver_that_fails_stops_nothing(
    bench: Workbench, heard: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: Any) -> None:
        raise ValueError("a user's mistake")

    deploy_stop.connect(broken)
    try:
        bench.engine.listeners += telemetry.listeners()
        bench.app("web")
        bench.commit()
        assert bench.sync()["status"] == "synced"
    finally:
        deploy_stop.disconnect(broken)
    assert ("deploy.stop", "web", "ok") in heard
    assert "a user's mistake" in caplog.text


def test_an_event_that_has_no_signal_is_told_to_nobody() -> None:
    send(Event("something.else"))


def test_the_module_is_the_function_too(bench: Workbench) -> None:
    assert tasks.events is events
    bench.app("web")
    bench.commit()
    bench.sync()
    assert [event["name"] for event in events(app="web")] == ["deploy.start", "deploy.stop"]
    assert events(1)[0]["name"] == "reconcile.stop"


def test_whoever_imports_first_finds_one_thing(settings_in_force: None) -> None:
    code = (
        "from tasks import events; from tasks.events import deploy_stop; import tasks.events, sys\n"
        "assert events is tasks.events is sys.modules['tasks.events']; print(events(5))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
