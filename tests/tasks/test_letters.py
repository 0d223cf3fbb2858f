"""Messages made ahead: what Redis sends by itself is what Celery would have sent."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery
from workbench import Workbench

from celeriac.settings import Settings
from reconciler.plan import Change
from reconciler.steps import PULL, change_step
from state.runs import Runs
from state.steps import Claim, Step, StepOutcome
from state.store import Store
from tasks.letters import Letters, letters
from tasks.messages import send

STEP = change_step(Change("web", "n1", "upgrade", "r2-e1-d1", "2.0.0", "1.0.0"), "0123456789abcdef")
OWN = frozenset({"id", "root_id", "expires", "correlation_id", "delivery_tag"})
"""What differs from one message to the next."""


@pytest.fixture
def broker(store: Store) -> Iterator[Celery]:
    """A Celery app whose messages nobody takes, with a task that has options of its own."""
    app = Celery("broker", set_as_current=False)
    app.conf.update(
        broker_url=Settings(redis_url=store.url).broker_url,
        broker_transport_options={"global_keyprefix": store.key("broker", "")},
        task_ignore_result=True,
    )

    @app.task(name="upgrade", shared=False, lazy=False, time_limit=77, soft_time_limit=70)  # type: ignore[untyped-decorator]
    def upgrade(run: str, step: str) -> None:
        """Never done."""

    yield app
    app.close()


def messages(store: Store, queue: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in store.client.lrange(store.key("broker", "") + queue, 0, -1)][::-1]


def plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what is its own, and with its body in the clear."""
    headers, properties = dict(message["headers"]), dict(message["properties"])
    for own in OWN:
        headers.pop(own, None)
        properties.pop(own, None)
    body = json.loads(base64.b64decode(message["body"]))
    return {**message, "body": body, "headers": headers, "properties": properties}


def running(runs: Runs, *add: Step) -> tuple[str, Claim]:
    """A run whose first step is being done, with `add` ready or waiting for it."""
    run = runs.request("test", PULL).run
    claim = runs.claim(run, "pull", "me", 10)
    assert isinstance(claim, Claim)
    assert runs.insert(run, add).ready == ()
    return run, claim


def test_redis_sends_what_celery_would_have_sent(store: Store, broker: Celery) -> None:
    runs = Runs(store)
    runs.letter = Letters(broker, 15.0).make
    run, _ = running(runs, STEP)
    send(broker, 15.0, run, [STEP])
    ours, theirs = messages(store, "node.n1")
    # What Celery is told of a task it also leaves among the properties, where nobody reads it.
    told = {"argsrepr", "kwargsrepr", *theirs["headers"]["stamped_headers"]}
    theirs["properties"] = {name: value for name, value in theirs["properties"].items() if name not in told}
    assert plain(ours) == plain(theirs)
    assert ours["headers"]["timelimit"] == [77, 70]
    for own in ("headers", "properties"):
        for name in OWN & theirs[own].keys():
            assert ours[own][name] != theirs[own][name]
    until = datetime.fromisoformat(ours["headers"]["expires"])
    assert 0 < (until - datetime.now(UTC)).total_seconds() <= 30.0


def test_a_step_that_waits_is_told_of_when_the_last_that_it_needs_has_ended(store: Store, broker: Celery) -> None:
    runs = Runs(store)
    runs.letter = Letters(broker, 15.0).make
    waiting = replace(STEP, needs=("pull",))
    run, claim = running(runs, waiting)
    assert messages(store, "node.n1") == []
    completed = runs.complete(claim, StepOutcome("ok"))
    assert completed.ready == ()
    (sent,) = messages(store, "node.n1")
    assert plain(sent)["body"][0] == [run, "web@n1"]
    assert runs.complete(claim, StepOutcome("ok")).ready == (waiting,)  # a second delivery: sent by whoever asked
    assert len(messages(store, "node.n1")) == 1


def test_messages_that_wait_are_no_keys_for_ever(store: Store, broker: Celery) -> None:
    runs = Runs(store)
    runs.letter = Letters(broker, 15.0).make
    run, _ = running(runs, replace(STEP, needs=("pull",)))
    assert 0 < store.client.ttl(store.key("run", run, "mail")) <= 86400


def test_a_step_that_is_blocked_is_never_sent(store: Store, broker: Celery) -> None:
    runs = Runs(store)
    runs.letter = Letters(broker, 15.0).make
    _, claim = running(runs, replace(STEP, needs=("pull",)))
    completed = runs.complete(claim, StepOutcome("failed", "Broken"))
    assert [blocked.step.id for blocked in completed.blocked] == ["web@n1"]
    assert messages(store, "node.n1") == []


def test_a_step_whose_message_was_lost_is_sent_again_by_the_sweep(store: Store, broker: Celery) -> None:
    runs = Runs(store)
    runs.letter = Letters(broker, 15.0).make
    running(runs, STEP)
    time.sleep(0.01)
    assert [step.id for step in runs.sweep(stale=0.0).resend] == ["web@n1"]


def test_the_time_until_which_a_message_counts_is_right_on_every_day_of_four_centuries(store: Store) -> None:
    from state.store import _source

    script = store.client.register_script(_source("graph") + "\nreturn iso8601(tonumber(ARGV[1]))")
    for seconds in range(0, 400 * 366 * 86400, 1_234_567 * 97):
        assert datetime.fromisoformat(script(args=[seconds])).timestamp() == seconds


def test_nothing_is_made_ahead_for_a_broker_that_is_not_the_state_s_redis(store: Store, broker: Celery) -> None:
    settings = Settings(redis_url=store.url)
    assert letters(broker, settings)("r1", STEP) is not None
    broker.conf.broker_url = "redis://127.0.0.1:1/0"
    assert letters(broker, settings)("r1", STEP) is None


def test_no_message_made_ahead_holds_a_secret(bench: Workbench, store: Store, broker: Celery) -> None:
    bench.engine.runs.letter = Letters(broker, 15.0).make
    bench.app("web", TOKEN="hunter2")
    bench.commit()
    bench.ask()
    while bench.sent or bench.engine.runs.current() is not None:
        if not bench.sent:
            run = bench.engine.runs.current()
            assert run is not None
            bench.sent += [(run.id, one.step) for one in bench.engine.runs.steps(run.id) if one.state == "ready"]
        bench.step()
    sent = [*messages(store, "ctl"), *messages(store, "node.n1")]
    assert sorted(message["headers"]["task"] for message in sent) == ["deploy", "diff", "observe", "parse"]
    for message in sent:
        assert "hunter2" not in json.dumps(message) + base64.b64decode(message["body"]).decode()
