"""Whether a service of Celeriac's own does its work: a real Redis, nodes as workers report them, real ports."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from servers import server
from waiting import wait_for

from celeriac.settings import Settings
from state.nodes import Node, Nodes
from state.store import Store
from tasks import service_probe
from tasks.service_config import BEAT, FLOWER, REDIS, WORKER, Places
from tasks.service_probe import Crashes, does_its_work, end_stray_redis, redis_answers, wait_for_redis
from tasks.service_supervisor import ServiceFailed, ServiceSupervisor

GONE = "unix:///nowhere/redis.sock"


@pytest.fixture
def settings(tmp_path: Path, store: Store) -> Settings:
    return Settings(home=tmp_path, node="here", redis_url=store.url, key_prefix=store.prefix)


def info(name: str, state: str = "RUNNING", pid: int = 7, start: int = 100) -> dict[str, Any]:
    return {"name": name, "statename": state, "pid": pid, "start": start}


def test_three_starts_that_ended_too_soon_are_too_many_however_often_one_is_looked_at() -> None:
    crashes = Crashes()
    looks = [100, 100, 100, 102, 102]
    assert not any(crashes.broken(info(WORKER, "BACKOFF", start=start)) for start in looks)
    assert not crashes.broken(info(BEAT, "BACKOFF", start=104))
    assert crashes.broken(info(WORKER, "BACKOFF", start=105))
    assert crashes.broken(info(WORKER, "STARTING", start=108))


def test_one_that_was_given_up_is_broken_at_once_and_one_that_runs_is_not() -> None:
    assert Crashes().broken(info(WORKER, "FATAL"))
    assert not Crashes().broken(info(WORKER))


@pytest.mark.parametrize("state", ["BACKOFF", "STOPPED", "EXITED", "FATAL", "STOPPING"])
def test_what_does_not_run_does_not_work_even_where_its_redis_answers(settings: Settings, state: str) -> None:
    assert does_its_work(info(REDIS), settings, 0)
    assert not does_its_work(info(REDIS, state), settings, 0)
    assert not does_its_work(info(BEAT, state), settings, 0)


def test_beat_works_when_it_runs() -> None:
    assert does_its_work(info(BEAT, "STARTING"), Settings(), 0)


def test_redis_works_when_it_answers(settings: Settings) -> None:
    assert redis_answers(settings)
    assert not redis_answers(replace(settings, redis_url=GONE))
    assert not does_its_work(info(REDIS), replace(settings, redis_url=GONE), 0)


def test_the_worker_works_when_its_very_process_has_reported_as_this_node(settings: Settings, store: Store) -> None:
    assert not does_its_work(info(WORKER), settings, 0)
    Nodes(store).beat(Node("elsewhere", boot="a", pid=7, seen_at=store.now()))
    assert not does_its_work(info(WORKER), settings, 0)
    Nodes(store).beat(Node("here", boot="a", pid=6, seen_at=store.now()))  # the one before it
    assert not does_its_work(info(WORKER), settings, 0)
    Nodes(store).beat(Node("here", boot="b", pid=7, seen_at=store.now()))
    assert does_its_work(info(WORKER), settings, 0)
    assert not does_its_work(info(WORKER), replace(settings, redis_url=GONE), 0)


def test_flower_works_when_its_port_takes_connections(settings: Settings) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert not does_its_work(info(FLOWER), settings, port)
        listener.listen()
        assert does_its_work(info(FLOWER), settings, port)


def supervisor(settings: Settings, *infos: dict[str, Any]) -> ServiceSupervisor:
    """One that says these of its services, the last for good."""

    class Saying(ServiceSupervisor):
        def infos(self) -> list[Any]:
            return [left.pop(0) if len(left) > 1 else left[0]]

    left = list(infos)
    places = Places.of(settings.home, settings.home)
    places.logs.mkdir(exist_ok=True)
    places.log(REDIS).write_bytes(b"\xff bad\n# Fatal: port is taken\n")
    return Saying(places)


def test_a_redis_that_keeps_ending_is_not_waited_for_and_its_log_is_told(settings: Settings) -> None:
    gone = replace(settings, redis_url=GONE)
    ends = [info(REDIS, "BACKOFF", start=start) for start in (1, 2, 3)]
    with pytest.raises(ServiceFailed, match="redis keeps ending") as caught:
        wait_for_redis(gone, supervisor(gone, *ends))
    assert "# Fatal: port is taken" in caught.value.message
    assert caught.value.hint.endswith("redis.log")


def test_a_redis_that_does_not_answer_is_waited_for_only_so_long(settings: Settings) -> None:
    gone = replace(settings, redis_url=GONE)
    with pytest.raises(ServiceFailed, match=r"redis did not answer within 0\.01s"):
        wait_for_redis(gone, supervisor(gone, info(REDIS)), timeout=0.01)
    wait_for_redis(settings, supervisor(settings, info(REDIS)), timeout=0.0)


def test_a_redis_left_over_on_our_folder_is_ended_and_one_that_is_somebody_elses_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server() as own:
        end_stray_redis(replace(settings, redis_url=own.url))
        assert redis_answers(replace(settings, redis_url=own.url))
        monkeypatch.setattr(Settings, "redis_address", property(lambda self: own.url))  # its socket is where ours is
        monkeypatch.setattr(service_probe, "alive", lambda pid: not own.ended())  # here it is a child, to be reaped
        end_stray_redis(replace(settings, redis_url=""))
        wait_for(own.ended)
        end_stray_redis(replace(settings, redis_url=""))


def test_a_left_over_redis_that_does_not_end_is_told_with_how_to_end_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server() as own:
        monkeypatch.setattr(Settings, "redis_address", property(lambda self: own.url))
        os.kill(own.pid, 0)
        monkeypatch.setattr(service_probe, "alive", lambda pid: True)
        with pytest.raises(ServiceFailed) as caught:
            end_stray_redis(replace(settings, redis_url=""), timeout=0.0)
        assert caught.value.hint == f"kill {own.pid}"
