"""Whose health is asked, when, and what is remembered of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import pytest
from workbench import Workbench

from reconciler.check import check, due_checks
from runtimes.base import RuntimeFailure
from specs.appstate import AppState
from specs.model import AppSpec, Health
from state.health import HealthRecord

NOW = 1000.0
SPEC = AppSpec("web", "1.0", health=Health(interval=30.0))
STATE = AppState("web", "1.0", digest="r1-e1-d1", status="running", health="healthy", node="n1")


@dataclass
class Result:
    ok: bool
    message: str = ""


@pytest.mark.parametrize(
    ("record", "state", "asked"),
    [
        (None, STATE, True),
        (HealthRecord(True, checked_at=NOW - 30, digest="r1-e1-d1"), STATE, True),
        (HealthRecord(True, checked_at=NOW - 29, digest="r1-e1-d1"), STATE, False),
        (HealthRecord(True, checked_at=NOW, digest="r0-e1-d1"), STATE, True),
        (HealthRecord(True, checked_at=NOW, digest="r1-e1-d1"), replace(STATE, health="unknown"), True),
    ],
)
def test_an_app_is_asked_in_its_interval_and_at_once_when_it_changed(
    record: HealthRecord | None, state: AppState, asked: bool
) -> None:
    known = {"web": record} if record else {}
    assert due_checks({"web": SPEC}, known, {"web": state}, NOW) == ([SPEC] if asked else [])


def test_who_is_being_asked_is_not_asked_by_another_but_not_for_ever() -> None:
    asking = {"web": HealthRecord(True, checked_at=NOW - 60, digest="r1-e1-d1", asked_at=NOW - 5)}
    assert due_checks({"web": SPEC}, asking, {"web": STATE}, NOW) == []
    assert due_checks({"web": SPEC}, asking, {"web": replace(STATE, health="unknown")}, NOW) == []
    assert due_checks({"web": SPEC}, asking, {"web": STATE}, NOW + 6) == [SPEC]  # whoever asked has died


def test_a_slow_app_is_asked_once_at_a_time_and_holds_up_no_other(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(bench, "slow", "quick")
    asked: list[str] = []
    held, entered = threading.Event(), threading.Event()

    def answer(spec: AppSpec) -> Result:
        asked.append(spec.name)
        if spec.name == "slow":
            entered.set()
            held.wait(30)
        return Result(True)

    answering(bench, monkeypatch, answer)
    first = threading.Thread(target=check, args=(bench.engine,))
    first.start()
    assert entered.wait(30)
    bench.app("later", more="health: {type: tcp, port: 1, interval: 1h}")
    bench.commit()
    bench.sync()
    assert check(bench.engine) == 1
    held.set()
    first.join()
    assert sorted(asked) == ["later", "quick", "slow"]


def test_releases_are_looked_after_with_the_checks(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []
    monkeypatch.setattr(bench.engine.runtime, "verify", lambda: looked.append(True), raising=False)
    check(bench.engine)
    assert looked == [True]


def test_who_has_no_health_check_or_no_known_spec_is_not_asked() -> None:
    specs = {"plain": AppSpec("plain", "1.0"), "lost": None}
    assert due_checks(specs, {}, {"plain": STATE, "lost": STATE}, NOW) == []


def deployed(bench: Workbench, *names: str) -> None:
    for name in names:
        bench.app(name, more="health: {type: tcp, port: 1, interval: 1h}")
    bench.commit()
    bench.sync()


def answering(bench: Workbench, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    monkeypatch.setattr(bench.engine.runtime, "check", answer, raising=False)


def test_a_runtime_that_asks_nobody_is_fine(bench: Workbench) -> None:
    deployed(bench, "web")
    assert check(bench.engine) == 0


def test_failures_in_a_row_are_counted_and_a_success_ends_them(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(bench, "web")
    clock = iter(range(10_000_000_000, 20_000_000_000, 10_000))
    monkeypatch.setattr(bench.engine, "clock", lambda: float(next(clock)))
    found = []
    for result in (Result(False, "no answer"), RuntimeFailure("web", "health", "refused"), Result(True, "200")):

        def answer(spec: AppSpec, result: Any = result) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

        answering(bench, monkeypatch, answer)
        assert check(bench.engine) == 1
        record = bench.engine.health.of("n1")["web"]
        found.append((record.ok, record.failures, record.message))
    assert found == [(False, 1, "no answer"), (False, 2, "refused"), (True, 0, "")]


def test_who_was_asked_is_left_alone_until_its_interval_has_passed(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(bench, "web")
    answering(bench, monkeypatch, lambda spec: Result(True))
    assert (check(bench.engine), check(bench.engine)) == (1, 0)


def test_all_that_are_due_are_asked_at_once(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(bench, "a", "b", "c")
    together = threading.Barrier(3, timeout=20)

    def answer(spec: AppSpec) -> Result:
        together.wait()
        return Result(True)

    answering(bench, monkeypatch, answer)
    assert check(bench.engine) == 3


def test_what_is_gone_is_forgotten(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(bench, "a", "b")
    answering(bench, monkeypatch, lambda spec: Result(True))
    check(bench.engine)
    bench.drop("a")
    bench.app("c", more="health: {type: tcp, port: 1, interval: 1h}")
    bench.commit()
    bench.sync()
    check(bench.engine)
    assert sorted(bench.engine.health.of("n1")) == ["b", "c"]
