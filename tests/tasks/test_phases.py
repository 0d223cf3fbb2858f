"""The phases of a step, as Celery shows them: states and events on a real Redis, and a Redis that is away."""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from waiting import wait_for

from celeriac.settings import Settings
from state.store import Store
from tasks import phases
from tasks.phases import Phases

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")  # Celery's call


def app_on(url: str, store: Store) -> Celery:
    """A Celery app whose results and events are those of this test alone."""
    app = Celery("phases", set_as_current=False)
    address = Settings(redis_url=url).broker_url
    app.conf.update(
        broker_url=address,
        result_backend=address,
        broker_transport_options={"global_keyprefix": store.key("broker", "")},
        result_backend_transport_options={"global_keyprefix": store.key("results", ""), "retry_policy": {"timeout": 0}},
        task_publish_retry_policy={"max_retries": 0},
        event_exchange=f"events-{store.prefix}",
    )
    return app


@pytest.fixture
def app(store: Store) -> Iterator[Celery]:
    made = app_on(store.url, store)
    yield made
    made.close()


def never() -> None:
    """A task that is never done."""


def step_of(app: Celery, id_: str = "t1") -> Phases:
    """The phases of a step whose message a worker on `n1` has taken."""

    if "deploy" not in app.tasks:
        app.task(name="deploy", shared=False, lazy=False)(never)
    task = app.tasks["deploy"]
    task.push_request(id=id_, hostname="celery@n1", called_directly=False)
    return Phases(task, "web@n1")


def results(store: Store) -> dict[str, Any]:
    keys = store.client.keys(store.key("results", "*"))
    return {key.rpartition("-meta-")[2]: json.loads(store.client.get(key)) for key in keys}


def test_a_phase_is_a_state_with_what_it_is_about_until_the_step_ends(app: Celery, store: Store) -> None:
    shown = step_of(app)
    shown.meta.update(app="web", node="n1")
    shown.show("building")
    wait_for(lambda: "t1" in results(store))
    found = results(store)["t1"]
    assert (found["status"], found["result"]) == ("BUILDING", {"app": "web", "node": "n1", "phase": "building"})
    shown.show("probing")
    wait_for(lambda: results(store)["t1"]["status"] == "PROBING")
    shown.end()
    assert results(store) == {}


def test_each_phase_is_an_event_in_their_order(app: Celery, store: Store) -> None:
    heard = store.client.pubsub()
    heard.psubscribe("*")
    assert heard.get_message(timeout=5)["type"] == "psubscribe"
    shown = step_of(app)
    shown.meta["app"] = "web"
    for phase in ("fetching", "building", "starting"):
        shown.show(phase)
    shown.end()
    told = []
    while len(told) < 3:
        message = heard.get_message(timeout=5)
        assert message is not None, told
        if "task." in message["channel"] and store.prefix in message["channel"]:
            body = json.loads(base64.b64decode(json.loads(message["data"])["body"]))
            told.append((body["type"], body["uuid"], body["app"], body["hostname"]))
    heard.close()
    assert told == [(f"task-{phase}", "t1", "web", "celery@n1") for phase in ("fetching", "building", "starting")]


def test_what_is_shown_is_what_was_known_then(app: Celery, store: Store) -> None:
    shown = step_of(app)
    shown.meta["app"] = "web"
    shown.show("building")
    shown.meta["app"] = "changed since"
    wait_for(lambda: "t1" in results(store))
    assert results(store)["t1"]["result"]["app"] == "web"
    shown.end()


def test_a_step_that_showed_nothing_touches_no_result(app: Celery, store: Store) -> None:
    app.backend.store_result("t1", "kept", "SUCCESS")
    step_of(app).end()
    assert results(store)["t1"]["result"] == "kept"


def test_a_redis_that_is_away_fails_nothing_and_is_said_without_what_it_was_about(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases._log, "propagate", True)
    caplog.set_level(logging.WARNING, logger=phases._log.name)
    away = app_on("unix:///nowhere/redis.sock", store)
    away.backend.max_retries = 0  # whatever it does to get through is Celery's
    monkeypatch.setattr(away.backend, "ensure", lambda work, arguments, **policy: work(*arguments))
    shown = step_of(away)
    shown.meta["app"] = "secret-name"
    shown.show("building")
    shown.end()
    away.close()
    told = [record.getMessage() for record in caplog.records if "is not shown" in record.getMessage()]
    assert len(told) == 2
    assert all(line.startswith("a phase of step web@n1 is not shown: ") for line in told)
    assert "secret-name" not in caplog.text


def test_a_forked_process_sends_by_a_thread_of_its_own(app: Celery, store: Store) -> None:
    shown = step_of(app)
    shown.show("building")
    wait_for(lambda: "t1" in results(store))
    child = os.fork()
    if child == 0:  # what follows must not come back to pytest
        code = 1
        try:
            inherited = step_of(app, "t2")
            inherited.show("starting")
            inherited._later(lambda: None).result(10)
            code = 0 if results(Store(store.url, store.prefix)).get("t2", {}).get("status") == "STARTING" else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    shown.end()
