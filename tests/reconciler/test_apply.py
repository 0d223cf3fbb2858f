"""One change to one app: what each step does, and what is left when it fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from workbench import Workbench

from reconciler.asking import ask_for_steps, stamp
from reconciler.steps import manual_step
from runtimes.base import RuntimeContext, RuntimeFailure
from runtimes.noop import NoopRuntime
from specs.appstate import AppState
from specs.model import AppSpec
from state.holds import Suspension
from state.unavailable import StateUnavailable


class Bare:
    """A runtime with nothing but what the protocol asks for."""

    def __init__(self, inner: NoopRuntime) -> None:
        self.deploy, self.upgrade, self.reconfigure = inner.deploy, inner.upgrade, inner.reconfigure
        self.remove, self.current_state = inner.remove, inner.current_state


class Stubborn(NoopRuntime):
    """Of its upgrades none comes up, not even that of a roll-back."""

    def upgrade(self, spec: AppSpec, old_version: str) -> AppState:
        raise RuntimeFailure(spec.name, "start", f"{spec.version} does not start", output=["boom"])


def use(bench: Workbench, kind: type[NoopRuntime]) -> None:
    bench.engine.runtime = kind(RuntimeContext(home=bench.engine.settings.home, node="n1"))


def by_hand(bench: Workbench, task: str, app: str, **fields: Any) -> dict[str, Any]:
    state = bench.engine.live.app(app)["n1"]
    given = {"from_digest": state.digest, "from_version": state.version, "version": state.version, **fields}
    asked = ask_for_steps(bench.engine, [manual_step(task, app, "n1", stamp(), **given)])
    bench.work()
    record = bench.engine.runs.record(asked.run)
    assert record is not None
    return record


def brought(bench: Workbench, *versions: str, **env: str) -> None:
    for version in versions:
        bench.app("web", version, **env)
        bench.commit()
        assert bench.sync()["status"] == "synced"


def test_an_app_is_deployed_upgraded_reconfigured_and_removed(bench: Workbench) -> None:
    bench.app("other")
    brought(bench, "1.0.0", "2.0.0")
    brought(bench, "2.0.0", COLOUR="blue")
    bench.drop("web")
    bench.commit()
    bench.sync()
    actions = [change.action for change in bench.engine.history.of("web")]
    assert actions == ["remove", "reconfigure", "upgrade", "deploy"]
    assert bench.live("web") is None
    assert "web" not in bench.engine.live.states()


def test_what_a_newer_state_overtook_is_given_up_before_it_begins(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    first = bench.ask()
    bench.until("deploy")
    bench.app("web", "2.0.0")
    bench.commit()
    bench.ask()
    bench.step()
    assert bench.live("web") is None
    stop = bench.events("deploy.stop")[0]
    assert (stop.result, stop.error) == ("superseded", "given up before it began: a newer desired state waits")
    bench.work()
    assert bench.answers[first]["counts"] == {"superseded": 1}
    assert bench.live("web").version == "2.0.0"


def test_a_failed_deploy_is_told_with_what_runs_now(bench: Workbench) -> None:
    bench.app("web", NOOP_FAIL="deploy")
    bench.commit()
    record = bench.sync()
    assert (record["status"], record["steps"][0]["reason"]) == ("degraded", "StartFailed")
    assert bench.engine.live.app("web")["n1"].status == "failed"
    outcome = bench.engine.outcomes.all()["web", "n1"]
    assert (outcome.result, outcome.attempts) == ("failed", 1)
    assert outcome.not_before > outcome.at
    assert [str(error) for error, _ in bench.faults] == ["web: failed at start: told to fail by NOOP_FAIL"]


def test_a_failed_build_changes_nothing_and_rolls_nothing_back(bench: Workbench) -> None:
    brought(bench, "1.0.0")
    bench.app("web", "2.0.0", NOOP_FAIL="build")
    bench.commit()
    record = bench.sync()
    assert record["steps"][0]["reason"] == "BuildFailed"
    assert bench.live("web").version == "1.0.0"
    assert bench.events("rollback.start") == []
    assert bench.status()["apps"]["web"]["status"] == "running"


def test_an_upgrade_that_does_not_become_healthy_is_rolled_back_and_is_no_success(bench: Workbench) -> None:
    brought(bench, "1.0.0")
    bench.app("web", "2.0.0", NOOP_UNHEALTHY="1")
    bench.commit()
    record = bench.sync()
    assert (record["status"], record["steps"][0]["reason"]) == ("degraded", "RolledBack")
    assert bench.live("web").version == "1.0.0"
    start, stop = bench.events("rollback.start")[0], bench.events("rollback.stop")[0]
    assert (start.error, stop.result) == ("HealthCheckFailed", "ok")
    assert bench.events("upgrade.stop")[-1].result == "rolled_back"
    assert len(bench.faults) == 1


def test_when_the_roll_back_fails_too_both_failures_are_told(bench: Workbench) -> None:
    brought(bench, "1.0.0")
    use(bench, Stubborn)
    bench.app("web", "2.0.0")
    bench.commit()
    step = bench.sync()["steps"][0]
    assert step["reason"] == "RollbackFailed"
    assert "2.0.0 does not start; the roll-back to 1.0.0 failed as well: 1.0.0 does not start" in step["message"]
    assert "boom" in step["message"]
    assert bench.events("rollback.stop")[0].result == "failed"


def test_a_renamed_app_is_taken_over(bench: Workbench) -> None:
    brought(bench, "1.0.0")
    bench.drop("web")
    bench.app("shop", more="renamed_from: web")
    bench.commit()
    record = bench.sync()
    assert [(step["app"], step["action"], step["state"]) for step in record["steps"]] == [("shop", "adopt", "ok")]
    assert list(bench.engine.runtime.current_state()) == ["shop"]
    assert list(bench.engine.live.states()) == ["shop"]


def test_a_plain_runtime_can_do_all_of_it(bench: Workbench) -> None:
    bench.engine.runtime = Bare(NoopRuntime(RuntimeContext(home=bench.engine.settings.home, node="n1")))
    brought(bench, "1.0.0")
    assert by_hand(bench, "deploy", "web", action="restart", digest=bench.live("web").digest)["status"] == "synced"
    bench.app("web", more="description: The shop")
    bench.commit()
    assert bench.sync()["status"] == "synced"
    assert bench.live("web").description == "The shop"
    bench.drop("web")
    bench.app("shop", more="renamed_from: web")
    bench.commit()
    assert bench.sync()["status"] == "synced"
    assert list(bench.engine.runtime.current_state()) == ["shop"]


def test_a_restart_uses_what_the_runtime_offers(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    brought(bench, "1.0.0")
    asked: list[str] = []

    def restart(app: str) -> AppState:
        asked.append(app)
        return bench.live(app)  # type: ignore[no-any-return]

    monkeypatch.setattr(bench.engine.runtime, "restart", restart, raising=False)
    assert by_hand(bench, "deploy", "web", action="restart")["status"] == "synced"
    assert asked == ["web"]


def test_a_roll_back_by_hand_goes_to_the_release_before_or_the_one_that_is_named(bench: Workbench) -> None:
    brought(bench, "1.0.0", "2.0.0", "3.0.0")
    assert by_hand(bench, "rollback", "web")["status"] == "synced"
    assert bench.live("web").version == "2.0.0"
    assert by_hand(bench, "rollback", "web", payload={"to": "1.0.0"})["status"] == "synced"
    assert bench.live("web").version == "1.0.0"


class Picky(NoopRuntime):
    """One version does not come up any more."""

    def upgrade(self, spec: AppSpec, old_version: str) -> AppState:
        if spec.version == "1.0.0":
            raise RuntimeFailure(spec.name, "start", "1.0.0 does not start")
        return super().upgrade(spec, old_version)


def test_a_roll_back_by_hand_that_fails_brings_back_what_ran(bench: Workbench) -> None:
    brought(bench, "1.0.0", "2.0.0")
    use(bench, Picky)
    step = by_hand(bench, "rollback", "web", payload={"hold": {"digest": "d", "reason": "by hand"}})["steps"][0]
    assert (step["state"], step["reason"]) == ("failed", "RolledBack")
    assert bench.live("web").version == "2.0.0"
    assert bench.engine.holds.holds() == {}
    assert [entry.version for entry in bench.engine.ledger.of("web")] == ["2.0.0", "1.0.0"]
    assert bench.engine.history.of("web")[0].to_version == "1.0.0"
    assert bench.sync()["status"] == "synced"


def test_a_roll_back_to_what_never_ran_here_names_what_did(bench: Workbench) -> None:
    brought(bench, "1.0.0", "2.0.0")
    step = by_hand(bench, "rollback", "web", payload={"to": "0.5.0"})["steps"][0]
    assert step["reason"] == "NoSuchRelease"
    assert step["message"] == "n1 has no version 0.5.0 of web\n  it has: 1.0.0"
    assert bench.live("web").version == "2.0.0"


def test_a_spec_that_is_gone_everywhere_fails_its_step(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.ask()
    _, step = bench.until("deploy")
    for path in bench.engine.vault.folder.iterdir():
        path.unlink()
    bench.step()
    assert bench.live("web").version == "1.0.0"  # read again from the mirror
    for path in bench.engine.vault.folder.iterdir():
        path.unlink()
    record = by_hand(bench, "upgrade", "web", digest="0" * 16 + "-" + "1" * 16 + "-" + "2" * 16)
    assert record["steps"][0]["reason"] == "SpecMissing"
    assert step.digest == bench.live("web").digest


class Odd(NoopRuntime):
    """A runtime with a bug of its own."""

    def deploy(self, spec: AppSpec) -> AppState:
        raise ValueError("nobody foresaw this")


class Cut(NoopRuntime):
    """A runtime in the middle of whose work Redis goes away."""

    def deploy(self, spec: AppSpec) -> AppState:
        raise StateUnavailable("Redis does not answer")


class CutBuilding(NoopRuntime):
    """The same, while it builds: the phase cannot be told, and so the build fails."""

    def deploy(self, spec: AppSpec) -> AppState:
        away = StateUnavailable("Redis does not answer")
        raise RuntimeFailure(spec.name, "build", away.message, reason=away.reason) from away


def test_an_error_that_nobody_foresaw_is_remembered_against_its_app_and_tried_again(bench: Workbench) -> None:
    use(bench, Odd)
    bench.app("web")
    bench.commit()
    assert bench.sync()["status"] == "degraded"
    outcome = bench.engine.outcomes.get("web", "n1")
    assert outcome is not None
    assert (outcome.result, outcome.reason) == ("failed", "ValueError")
    assert outcome.not_before > bench.engine.clock()
    assert "retry:web@n1" in bench.engine.due.due(outcome.not_before)
    assert [event.result for event in bench.events("deploy.stop")] == ["failed"]
    assert len(bench.faults) == 1


@pytest.mark.parametrize("kind", [Cut, CutBuilding])
def test_redis_going_away_is_no_failure_of_the_app(bench: Workbench, kind: type[NoopRuntime]) -> None:
    use(bench, kind)
    bench.app("web")
    bench.commit()
    bench.ask()
    run, _ = bench.until("deploy")
    with pytest.raises(StateUnavailable):
        bench.step()
    assert {r.step.id: r.state for r in bench.engine.runs.steps(run)}["web@n1"] == "ready"
    assert bench.engine.outcomes.all() == {}
    assert bench.faults == []


def test_a_runtime_that_cannot_be_made_fails_the_app_and_is_tried_again(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.ask()
    bench.until("deploy")
    settings = replace(bench.engine.settings, runtime="nowhere:Nothing")
    bench.engine.__dict__.pop("runtime", None)
    bench.engine.settings = settings
    bench.work()
    outcome = bench.engine.outcomes.get("web", "n1")
    assert outcome is not None
    assert outcome.result == "failed"
    assert bench.engine.due.next() is not None


@pytest.mark.parametrize("what", ["web", None])
def test_what_is_suspended_after_it_was_planned_is_left_as_it_is(bench: Workbench, what: str | None) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    bench.app("web", "2.0.0")
    bench.commit()
    request = bench.ask()
    bench.until("upgrade")
    bench.engine.holds.suspend(what, Suspension())
    bench.work()
    assert bench.answers[request]["counts"] == {"superseded": 1}
    assert bench.live("web").version == "1.0.0"
    assert bench.sync()["steps"] == []
    assert bench.status()["apps"]["web"]["sync"] == "suspended"
    bench.engine.holds.resume(what)
    bench.sync()
    assert bench.live("web").version == "2.0.0"
