"""What `celeriac doctor` says of what runs: a real Redis in each of its states, what nodes and beat told."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from servers import server

from celeriac.settings import Settings
from cli import service_checks
from cli.check import Check
from cli.service_checks import service_checks as all_checks
from state.nodes import Node, Nodes
from state.pulse import Pulse
from state.store import Store


@pytest.fixture
def settings(tmp_path: Path, store: Store) -> Settings:
    return Settings(home=tmp_path / "home", node="here", redis_url=store.url, key_prefix=store.prefix)


def found(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in all_checks(settings)}


def test_each_thing_is_a_line(settings: Settings) -> None:
    checks = found(settings)
    assert list(checks) == [
        "services", "redis", "clock", "redis persistence", "redis memory", "worker", "beat", "supervisor",
    ]  # fmt: skip
    results = {name: check.result for name, check in checks.items()}
    assert (results["redis"], results["clock"], results["redis memory"]) == ("ok", "ok", "ok")
    assert checks["supervisor"].detail == "not needed yet: no app runs here"
    assert all(check.advice for check in checks.values() if check.result != "ok")


def test_a_redis_that_does_not_answer_is_the_last_line_and_its_password_is_not_told(settings: Settings) -> None:
    gone = replace(settings, redis_url="redis://:hunter2@127.0.0.1:1/0")
    checks = found(gone)
    assert list(checks) == ["services", "redis"]
    assert checks["redis"].result == "fail"
    assert checks["redis"].detail.startswith("redis://***@127.0.0.1:1/0: ")
    assert "hunter2" not in repr(checks)


def test_a_redis_that_goes_away_between_two_looks_fails_these_and_the_rest_is_looked_at(settings: Settings) -> None:
    with server() as own:
        looks = all_checks(replace(settings, redis_url=own.url))
        before = [next(looks) for _ in range(3)]
        own.kill()
        after = list(looks)
    assert [check.name for check in before] == ["services", "redis", "clock"]
    assert [(check.name, check.result) for check in after] == [
        ("redis persistence", "fail"), ("redis memory", "fail"), ("worker", "fail"), ("beat", "fail"),
        ("supervisor", "ok"),
    ]  # fmt: skip
    assert all("\n" not in check.detail for check in after)


@pytest.mark.parametrize(
    ("options", "persistence", "memory"),
    [
        (("--appendonly", "yes"), "ok", "ok"),
        (("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), "warn", "fail"),
        (("--maxmemory", "100mb", "--maxmemory-policy", "noeviction"), "warn", "ok"),
        (("--maxmemory", "1kb", "--maxmemory-policy", "noeviction"), "warn", "warn"),
        (("--maxmemory", "0", "--maxmemory-policy", "allkeys-lru"), "warn", "ok"),
    ],
)
def test_how_redis_keeps_data_is_looked_at(options: tuple[str, ...], persistence: str, memory: str) -> None:
    with server(*options) as own, contextlib.closing(Store(own.url)) as store:
        assert service_checks.persistence(store).result == persistence
        assert service_checks.eviction(store).result == memory


def test_a_worker_here_elsewhere_and_nowhere(settings: Settings, store: Store) -> None:
    nodes = Nodes(store)
    check = service_checks.worker(store, settings)
    assert (check.result, str(settings.home / "logs" / "celeriac.worker.log") in check.advice) == ("fail", True)
    for name in ("n2", "n1"):
        nodes.beat(Node(name, boot=name, seen_at=store.now()))
    check = service_checks.worker(store, settings)
    assert (check.result, check.detail) == ("warn", "here is not; n1, n2 is")
    nodes.beat(Node("here", boot="b", seen_at=store.now()))
    check = service_checks.worker(store, settings)
    assert (check.result, check.detail) == ("ok", "here is alive, with 2 more")


@pytest.mark.parametrize(
    ("ages", "result", "told"),
    [
        ({}, "warn", "no sync has been asked for yet"),
        ({"next_sync": -60.0}, "warn", "no sync has been asked for yet"),
        ({"last_sync": 5.0}, "ok", "the last sync was 5s ago"),
        ({"last_sync": 1000.0, "beat": 3.0}, "ok", "the last sync was 3s ago"),
        ({"last_sync": 191.0}, "fail", "the last sync was 3m 11s ago"),
        ({"last_sync": -30.0}, "ok", "the last sync was 0s ago"),
    ],
)
def test_beat_is_told_by_what_it_asked_for(
    settings: Settings, store: Store, ages: dict[str, float], result: str, told: str
) -> None:
    now = store.now()
    for name, age in ages.items():
        Pulse(store).set(name, now - age)
    check = service_checks.beat(store, settings, now)
    assert (check.result, check.detail) == (result, told)


def test_a_supervisor_of_apps_that_should_run_and_does_not_fails(settings: Settings) -> None:
    folder = settings.home / "supervisor" / "conf.d"
    folder.mkdir(parents=True)
    (folder / "web.conf").touch()
    check = service_checks.supervisor(settings)
    assert (check.result, check.advice) == ("fail", "the next sync starts it: celeriac sync")
