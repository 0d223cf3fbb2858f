"""What really runs is put beside what is desired."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from workbench import Workbench

from celeriac.errors import CeleriacError
from reconciler.observe import look, observe
from runtimes.base import RuntimeFailure
from runtimes.overruns import Overrun
from specs.model import AppSpec


def settled(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    observe(bench.engine)
    bench.told.clear()


def due(bench: Workbench) -> list[str]:
    return bench.engine.due.due(bench.engine.store.now())


def test_what_is_as_it_was_is_no_news(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    assert look(bench.engine)[1]
    assert not look(bench.engine)[1]
    assert list(bench.engine.live.observed()) == ["n1"]


def test_where_nothing_changed_no_state_is_read_or_encoded(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        bench.app(name)
    bench.commit()
    bench.sync()
    for _ in range(2):
        observe(bench.engine)
    calls: list[str] = []
    monkeypatch.setattr("state.live.encode", lambda state: calls.append("encode"))
    monkeypatch.setattr(bench.engine.live, "node", lambda node: calls.append("node"))
    observe(bench.engine)
    assert calls == []


def test_what_drifted_is_noted_and_the_next_run_repairs_it(bench: Workbench) -> None:
    settled(bench)
    bench.engine.runtime.remove("web")
    assert observe(bench.engine) == {}
    assert due(bench) == ["drift:n1"]
    assert [(event.name, event.app, event.result) for event in bench.told] == [("health.check", "web", "absent")]
    record = bench.sync("beat")
    assert [(step["app"], step["state"]) for step in record["steps"]] == [("web", "ok")]
    assert due(bench) == []


def test_what_runs_though_git_does_not_know_it_is_noted_too(bench: Workbench) -> None:
    settled(bench)
    bench.engine.runtime.deploy(AppSpec("stray", "1.0"))
    observe(bench.engine)
    assert due(bench) == ["drift:n1"]
    assert bench.told == []  # deployed by somebody else: not a matter of health


def test_while_a_run_is_open_it_is_looked_at_again_after_it(bench: Workbench) -> None:
    settled(bench)
    bench.ask()
    bench.engine.runtime.remove("web")
    observe(bench.engine)
    assert due(bench) == []
    bench.work()
    observe(bench.engine)
    assert bench.live("web") is not None or due(bench) == ["drift:n1"]


def test_an_app_that_falls_ill_and_one_that_recovers_are_told(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(bench)
    well = bench.live("web")
    ill = replace(well, health="unhealthy", message="no answer")
    for state in (ill, well):
        monkeypatch.setattr(bench.engine.runtime, "current_state", lambda state=state: {"web": state})
        observe(bench.engine)
    one, other = bench.told
    assert (one.name, one.result, one.error, one.extra["was"]) == (
        "health.check", "unhealthy", "no answer", "running, healthy",
    )  # fmt: skip
    assert (other.result, other.error) == ("healthy", "")
    assert due(bench) == ["drift:n1"]


def test_before_the_first_sync_nothing_is_drift(bench: Workbench) -> None:
    bench.engine.runtime.deploy(AppSpec("web", "1.0"))
    observe(bench.engine)
    assert due(bench) == []


def test_as_a_step_a_failure_holds_up_nobody_else(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.app("web")
    bench.commit()

    def broken() -> dict[str, Any]:
        raise RuntimeFailure("", "start", "the supervisor does not answer")

    monkeypatch.setattr(bench.engine.runtime, "current_state", broken)
    record = bench.sync()
    assert [(step["task"], step["state"]) for step in record["steps"]] == [("observe", "failed")]
    assert bench.status()["apps"]["web"]["reason"] == "NotObserved"
    with pytest.raises(CeleriacError, match="does not answer"):
        observe(bench.engine)


def test_what_a_runtime_lost_with_its_machine_is_revived_before_it_is_observed(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    runtime = bench.engine.runtime
    monkeypatch.setattr(runtime, "revive", lambda: asked.append("revived"), raising=False)
    look(bench.engine)
    assert asked == []
    monkeypatch.setattr(runtime, "all_applied", lambda: {"web": "r1"}, raising=False)
    look(bench.engine)
    assert asked == ["revived"]


def test_an_app_killed_for_its_memory_is_told_and_again_only_if_we_die_before_that_is_noted(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(bench)
    killed = Overrun("main", "7-1", 1.0, 64_000_000, "cgroup v2")
    untold = {"web": [killed]}
    runtime = bench.engine.runtime
    monkeypatch.setattr(runtime, "watch_limits", lambda: dict(untold), raising=False)

    def dies(name: str, overrun: Overrun) -> None:
        raise CeleriacError("killed here")

    monkeypatch.setattr(runtime, "overrun_told", dies, raising=False)
    with pytest.raises(CeleriacError):
        look(bench.engine)
    monkeypatch.setattr(runtime, "overrun_told", lambda name, overrun: untold.pop(name), raising=False)
    for _ in range(2):
        look(bench.engine)
    first, second = bench.told
    assert first.extra == second.extra
    assert (second.name, second.app, second.node, second.result) == ("health.check", "web", "n1", "killed")
    assert second.error == "main killed: over its memory limit of 64MB (cgroup v2)"
    assert second.extra == {"reason": "OutOfMemory", "process": "main", "limit": 64_000_000, "by": "cgroup v2"}
