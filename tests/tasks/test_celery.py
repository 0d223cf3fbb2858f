"""The Celery app: what must hold of its settings for Celeriac to be correct."""

from __future__ import annotations

from types import ModuleType

import pytest
from celery.app.utils import find_app

from celeriac.errors import SettingsError
from tasks import celery
from tasks.celery import app


def config(monkeypatch: pytest.MonkeyPatch, redis_url: str, **more: str) -> ModuleType:
    monkeypatch.setenv("REDIS_URL", redis_url)
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    return celery._config()


def test_nothing_that_is_read_from_redis_may_run_code() -> None:
    conf = app.conf
    assert conf.accept_content == ["json"]
    assert (conf.task_serializer, conf.result_serializer, conf.event_serializer) == ("json", "json", "json")
    assert conf.result_accept_content is None  # as accept_content


def test_a_message_is_acknowledged_when_it_is_done_and_taken_when_there_is_somebody_to_do_it() -> None:
    conf = app.conf
    assert (conf.task_acks_late, conf.task_retry_on_worker_lost, conf.task_reject_on_worker_lost) == (True, True, False)
    assert (conf.worker_prefetch_multiplier, conf.worker_disable_prefetch) == (1, True)
    assert conf.task_ignore_result is True
    assert conf.broker_connection_max_retries is None
    assert conf.broker_connection_retry_on_startup is True


@pytest.mark.parametrize("redis_url", ["redis://127.0.0.1:6379/0", "unix:///run/redis.sock"])
def test_the_broker_and_the_results_are_told_the_same(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    found = config(monkeypatch, redis_url, CELERIAC_KEY_PREFIX="shop")
    broker, results = found.broker_transport_options, found.result_backend_transport_options
    for option in ("global_keyprefix", "visibility_timeout", "socket_timeout"):
        assert broker[option] == results[option]
    assert broker["global_keyprefix"] == "shop.celery."
    assert broker["visibility_timeout"] == found.visibility_timeout
    assert broker["unacked_restore_throttle"] == 1
    assert found.broker_url == found.result_backend
    assert ("socket_connect_timeout" in broker) is redis_url.startswith("redis:")


def test_every_task_ends_well_below_the_visibility_timeout() -> None:
    for name, task in app.tasks.items():
        if not name.startswith("celery."):
            assert task.time_limit * 2 <= app.conf.visibility_timeout, name


def test_what_beat_sends_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = config(monkeypatch, "redis://127.0.0.1:6379/0", CELERIAC_INTERVAL="5m", CELERIAC_SWEEP_INTERVAL="2s")
    assert set(found.beat_schedule) == {"sync", "sweep"}
    assert (found.beat_schedule["sync"]["schedule"], found.beat_schedule["sweep"]["schedule"]) == (300.0, 2.0)
    for entry in found.beat_schedule.values():
        assert entry["options"]["expires"] >= entry["schedule"]
        assert (entry["options"]["queue"], entry["options"]["ignore_result"]) == ("ctl", True)
        assert entry["task"] in app.tasks


def test_no_message_waits_at_the_broker_for_a_later_time() -> None:
    for entry in app.conf.beat_schedule.values():
        assert not {"eta", "countdown"} & set(entry["options"])


def test_flower_sees_what_happens() -> None:
    assert app.conf.worker_send_task_events is True
    assert app.conf.worker_enable_remote_control is True


def test_the_worker_is_the_one_that_minus_a_tasks_finds() -> None:
    assert find_app("tasks") is app


def test_a_missing_configuration_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery, "_CONFIG", celery._CONFIG.with_name("absent.py"))
    with pytest.raises(SettingsError, match="no such file"):
        celery._config()
