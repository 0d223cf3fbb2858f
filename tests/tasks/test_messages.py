"""Steps as messages: identifiers only, and what people see of them in Flower."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from workbench import Workbench

from celeriac.settings import Settings
from reconciler.plan import Change
from reconciler.steps import PULL, change_step, observe_step
from state.store import Store
from tasks.messages import options_of, send

STEP = change_step(Change("web", "n1", "upgrade", "r2-e1-d1", "2.0.0", "1.0.0"), "0123456789abcdef")


@pytest.fixture
def broker(store: Store) -> Iterator[Celery]:
    """A Celery app whose messages nobody takes."""
    app = Celery("broker", set_as_current=False)
    prefix = store.key("broker", "")
    app.conf.update(
        broker_url=Settings(redis_url=store.url).broker_url,
        broker_transport_options={"global_keyprefix": prefix},
        task_ignore_result=True,
    )
    yield app
    app.close()


def messages(store: Store, queue: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in store.client.lrange(store.key("broker", "") + queue, 0, -1)][::-1]


def test_people_see_the_app_and_the_revision_and_nothing_of_the_spec() -> None:
    options = options_of(STEP, 15.0)
    assert options["argsrepr"] == "(web@n1)"
    assert options["kwargsrepr"] == "{app=web, revision=0123456789ab, node=n1, version=2.0.0}"
    assert options["stamped_headers"] == ["app", "revision", "node", "version"]
    assert (options["app"], options["node"], options["queue"]) == ("web", "n1", "node.n1")
    assert "r2-e1-d1" not in repr(options)


def test_what_is_not_known_is_not_shown() -> None:
    assert options_of(PULL, 15.0)["kwargsrepr"] == "{}"
    assert options_of(observe_step("n1"), 15.0)["stamped_headers"] == ["node"]


def test_a_message_that_nobody_took_is_dropped_when_it_is_sent_again() -> None:
    assert options_of(STEP, 15.0)["expires"] == 30.0


def test_each_step_goes_to_its_queue_with_identifiers_only(store: Store, broker: Celery) -> None:
    send(broker, 15.0, "r1", [PULL, STEP])
    (common,), (own,) = messages(store, "ctl"), messages(store, "node.n1")
    assert (common["headers"]["task"], own["headers"]["task"]) == ("pull", "upgrade")
    args, kwargs, _ = json.loads(base64.b64decode(own["body"]))
    assert (args, kwargs) == (["r1", "web@n1"], {})
    assert own["headers"]["argsrepr"] == "(web@n1)"
    assert own["headers"]["stamps"] == {"app": "web", "revision": "0123456789ab", "node": "n1", "version": "2.0.0"}
    assert own["headers"]["expires"]
    assert own["headers"]["ignore_result"] is True
    assert own["headers"]["eta"] is None


def test_no_message_of_a_whole_sync_holds_a_secret(bench: Workbench, store: Store, broker: Celery) -> None:
    bench.app("web", TOKEN="hunter2")
    bench.commit()
    bench.ask()
    while bench.sent:
        run, step = bench.sent[0]
        send(broker, 15.0, run, [step])
        bench.step()
    sent = [*messages(store, "ctl"), *messages(store, "node.n1")]
    tasks = [message["headers"]["task"] for message in sent]
    assert sorted(tasks) == ["deploy", "diff", "observe", "parse", "pull"]
    for message in sent:
        assert "hunter2" not in json.dumps(message) + base64.b64decode(message["body"]).decode()
