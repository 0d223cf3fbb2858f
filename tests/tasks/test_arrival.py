"""Messages count until the clock of Redis says otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu.message import Message

from celeriac.settings import Settings
from reconciler.steps import PULL
from state.store import Store
from tasks import arrival
from tasks.celery import app
from tasks.messages import send
from tasks.pipeline import upgrade
from tasks.worker import Heartbeat, node_of


@pytest.fixture(autouse=True)
def _no_difference() -> Iterator[None]:
    yield
    arrival._ahead = 0.0


def arrived(expires: float) -> arrival.Arrival:
    headers = {"id": "one", "task": "upgrade", "expires": datetime.fromtimestamp(expires, UTC).isoformat()}
    message = Message(body="[[], {}, {}]", content_type="application/json", content_encoding="utf-8", headers=headers)
    return arrival.Arrival(message, app=app, task=upgrade)


def test_every_task_of_ours_is_taken_so() -> None:
    assert upgrade.Request == "tasks.arrival:Arrival"


@pytest.mark.parametrize(("ours", "late"), [(0.0, False), (600.0, False), (-600.0, False), (0.0, True), (-600.0, True)])
def test_a_message_is_dropped_when_its_time_is_over_by_the_clock_of_redis(
    store: Store, monkeypatch: pytest.MonkeyPatch, ours: float, late: bool
) -> None:
    redis = time.time() - ours  # our clock is that far ahead
    monkeypatch.setattr(store, "now", lambda: redis)
    assert arrival.measure(store) == pytest.approx(-ours, abs=1)
    assert arrived(redis + (-30 if late else 30)).maybe_expire() is late


def test_the_heartbeat_measures_how_much_the_clocks_differ(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    heart = Heartbeat(None)
    heart._store, heart._node = store, node_of(Settings(node="n1"))
    monkeypatch.setattr(store, "now", lambda: time.time() + 77)
    heart._beat()
    assert arrival._ahead == pytest.approx(77, abs=1)


def test_what_is_sent_again_counts_by_the_clock_of_redis_too(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(app, "send_task", lambda *_, **options: sent.append(options["expires"]))
    send(app, 15.0, "run", [PULL], now=1000.0)
    assert sent == [datetime.fromtimestamp(1030.0, UTC)]
