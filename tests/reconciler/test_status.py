"""The status, from what is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.policy import Policy
from reconciler.status import Known, status_of, time_text
from specs.appstate import AppState
from specs.desired import DesiredApp
from specs.model import Suspend
from specs.problem import Problem
from state.desired import Head, RemoteStatus
from state.holds import Hold, Suspension
from state.outcomes import Outcome
from state.steps import Step, StepRecord

NOW = 1_700_000_000.0
HEAD = Head("abc", branch="main")
GOOD = RemoteStatus(True, NOW, "abc")
BAD = RemoteStatus(False, NOW, "", "RemoteUnreachable", "no route")


def app(name: str = "web", **more: Any) -> DesiredApp:
    known = DesiredApp(name, name, f"apps/{name}/app.yaml", "", version="1.0.0", digest="r1-e1-d1")
    return replace(known, **more)


def state(name: str = "web", **more: Any) -> AppState:
    known = AppState(name, "1.0.0", digest="r1-e1-d1", status="running", health="healthy", node="n1")
    return replace(known, **more)


def outcome(result: Any = "failed", **more: Any) -> Outcome:
    given = {"digest": "r1-e1-d1", "reason": "StartFailed", "message": "no such file", "not_before": NOW + 60, **more}
    return Outcome("web", "n1", "deploy", result, **given)


def known(apps: list[DesiredApp], states: list[AppState], outcomes: tuple[Outcome, ...] = (), **more: Any) -> Known:
    by_node = {(o.app, o.node): o for o in outcomes}
    live: dict[str, dict[str, AppState]] = {}
    for one in states:
        live.setdefault(one.name, {})[one.node] = one
    policy = Policy(now=NOW, revision="abc", nodes={"n1": {}}, outcomes=by_node)
    made = Known(
        now=NOW, head=HEAD, remote=GOOD, apps={a.name: a for a in apps}, live=live, observed={"n1": NOW, "n2": NOW},
        policy=policy, branch="main", last_sync=NOW, next_sync=NOW + 60, outcomes=by_node,
    )  # fmt: skip
    rules = more.pop("rules", {})
    return replace(made, policy=replace(policy, **rules), **more)


def web(found: Known) -> Mapping[str, Any]:
    shown: Mapping[str, Any] = status_of(found)["apps"]["web"]
    return shown


def test_the_document_has_the_shape_of_the_contract() -> None:
    one = state(pid=7, started_at=datetime(2026, 3, 1, 14, 2, 11, tzinfo=UTC))
    assert status_of(known([app(depends_on=("db",))], [one])) == {
        "status": "synced",
        "revision": "abc",
        "branch": "main",
        "app_count": 1,
        "healthy_count": 1,
        "last_sync": "2023-11-14T22:13:20Z",
        "next_sync": "2023-11-14T22:14:20Z",
        "apps": {
            "web": {
                "sync": "synced",
                "status": "running",
                "health": "healthy",
                "version": "1.0.0",
                "desired_version": "1.0.0",
                "node": "n1",
                "pid": 7,
                "started_at": "2026-03-01T14:02:11Z",
                "reason": "",
                "message": "",
                "depends_on": ["db"],
            }
        },
    }


def test_before_anything_happened_it_is_initializing() -> None:
    found = status_of(Known(NOW, None, None, {}, {}, {}, Policy(), branch="main"))
    assert (found["status"], found["revision"], found["branch"]) == ("initializing", "", "main")
    assert (found["app_count"], found["last_sync"], found["next_sync"], found["apps"]) == (0, None, None, {})


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"head": None, "remote": None, "syncing": True}, "syncing"),
        ({"head": None, "remote": BAD}, "error"),
        ({"syncing": True}, "syncing"),
        ({"remote": BAD}, "error"),
        ({"remote": None}, "synced"),
        ({}, "synced"),
    ],
)
def test_the_one_word_for_everything(more: dict[str, Any], word: str) -> None:
    assert status_of(known([app()], [state()], **more))["status"] == word


def test_with_no_apps_it_is_ready_until_a_sync_has_ended() -> None:
    assert status_of(known([], [], last_sync=0.0))["status"] == "ready"
    assert status_of(known([], []))["status"] == "synced"


def test_what_does_not_run_yet_is_pending_and_out_of_sync() -> None:
    shown = web(known([app()], []))
    assert (shown["sync"], shown["status"], shown["health"]) == ("out_of_sync", "pending", "unknown")
    assert (shown["reason"], shown["version"], shown["desired_version"], shown["node"]) == (
        "NotDeployed",
        "",
        "1.0.0",
        "",
    )


@pytest.mark.parametrize(("task", "status"), [("deploy", "starting"), ("upgrade", "upgrading"), ("remove", "running")])
def test_what_is_worked_at_says_so(task: str, status: str) -> None:
    record = StepRecord(Step("web@n1", task, "node.n1", app="web", node="n1"), "running")
    assert web(known([app()], [state()], steps=(record,), syncing=True))["status"] == status


def test_an_app_that_was_rolled_back_runs_well_and_is_out_of_sync() -> None:
    found = known([app(version="2.0.0", digest="r2-e1-d1")], [state()], (outcome("rolled_back", digest="r2-e1-d1"),))
    shown = web(found)
    assert (shown["sync"], shown["status"], shown["health"]) == ("out_of_sync", "running", "healthy")
    assert (shown["version"], shown["desired_version"], shown["reason"]) == ("1.0.0", "2.0.0", "RolledBack")
    assert status_of(found)["status"] == "degraded"


@pytest.mark.parametrize("not_before", [NOW + 60, NOW - 1])
def test_a_failed_app_says_why_whether_it_waits_or_is_about_to_be_tried_again(not_before: float) -> None:
    found = known([app()], [], (outcome(not_before=not_before),))
    shown = web(found)
    assert (shown["sync"], shown["status"], shown["reason"]) == ("out_of_sync", "failed", "StartFailed")
    assert shown["message"] == "no such file"
    assert status_of(found)["status"] == "degraded"


def test_a_failure_of_another_spec_no_longer_counts() -> None:
    shown = web(known([app()], [state()], (outcome(digest="r0-e1-d1"),)))
    assert (shown["sync"], shown["reason"], shown["message"]) == ("synced", "", "")


def test_an_invalid_app_keeps_running_and_is_shown_with_its_problems() -> None:
    problem = Problem("apps/web/app.yaml", "must be 1..65535", "health.port", 7, 3)
    shown = web(known([app(version="", digest="", problems=(problem,))], [state()]))
    assert (shown["sync"], shown["status"], shown["version"]) == ("invalid", "running", "1.0.0")
    assert shown["message"] == "apps/web/app.yaml:7:3: health.port: must be 1..65535"


def test_a_suspended_app_shows_the_change_that_waits_and_degrades_nothing() -> None:
    suspended = app(digest="r2-e1-d1", version="2.0.0", suspend=Suspend(reason="a holiday"))
    found = known([suspended], [state()])
    assert (web(found)["sync"], web(found)["message"]) == ("suspended", "a holiday; pending: upgrade")
    assert status_of(found)["status"] == "synced"
    until = app(digest="r2-e1-d1", suspend=Suspend(until=datetime.fromtimestamp(NOW + 60, UTC).isoformat()))
    message = status_of(known([until], [state()]))["apps"]["web"]["message"]
    ends = datetime.fromtimestamp(NOW + 60, UTC)
    assert message == f"suspended in its spec, until {ends:%Y-%m-%dT%H:%M:%SZ}; pending: upgrade"
    by_hand = known([app()], [state()], rules={"suspensions": {"*": Suspension()}})
    assert (web(by_hand)["sync"], web(by_hand)["message"]) == ("suspended", "everything is suspended")


def test_a_suspension_ends_by_itself() -> None:
    ended = app(suspend=Suspend(until=datetime.fromtimestamp(NOW - 1, UTC).isoformat()))
    assert web(known([ended], [state()]))["sync"] == "synced"


def test_what_is_held_by_hand_is_out_of_sync() -> None:
    hold = Hold("web", "r2-e1-d1", "1.0.0", reason="rolled back by hand")
    found = known([app(digest="r2-e1-d1", version="2.0.0")], [state()], rules={"holds": {"web": hold}})
    assert (web(found)["sync"], web(found)["reason"]) == ("out_of_sync", "HeldByHand")
    assert web(found)["message"].startswith("rolled back by hand")


def test_a_blocked_app_names_whom_it_waits_for() -> None:
    blocked = outcome("blocked", reason="DependencyFailed", message="db failed", not_before=0.0)
    shown = web(known([app()], [], (blocked,)))
    assert (shown["sync"], shown["status"], shown["message"]) == ("blocked", "pending", "db failed")


def test_what_was_not_seen_lately_is_unknown() -> None:
    found = known([app()], [state()], observed={"n1": NOW - 61})
    assert (web(found)["sync"], web(found)["reason"]) == ("unknown", "NotObserved")
    assert web(known([app()], [state()], observed={"n1": NOW - 61}, too_old=120.0))["sync"] == "synced"


def test_what_was_never_checked_is_not_synced() -> None:
    shown = web(known([app()], [state(health="unknown")]))
    assert (shown["sync"], shown["reason"]) == ("unknown", "HealthUnknown")


def test_what_is_down_tells_what_the_runtime_said() -> None:
    found = known([app()], [state(status="failed", health="unhealthy", message="exit code 1")])
    assert (web(found)["sync"], web(found)["status"], web(found)["message"]) == ("out_of_sync", "failed", "exit code 1")
    assert status_of(found)["status"] == "degraded"


def test_of_an_app_on_several_nodes_the_worst_is_shown() -> None:
    states = [state(), state(node="n2", status="stopped", health="unhealthy", pid=None)]
    found = known([app()], states, rules={"nodes": {"n1": {}, "n2": {}}})
    assert (web(found)["node"], web(found)["status"], web(found)["health"]) == ("n2", "stopped", "unhealthy")


def test_what_is_gone_from_git_is_shown_until_it_is_removed() -> None:
    shown = web(known([], [state()], rules={"max_removals": 0}))
    assert (shown["sync"], shown["reason"], shown["desired_version"]) == ("out_of_sync", "RemovalBudget", "")
    assert web(known([], [state()]))["reason"] == "GoneFromGit"


def test_times_are_utc_and_none_is_none() -> None:
    assert time_text(0.0) is None
    assert time_text(NOW) == "2023-11-14T22:13:20Z"


@settings(max_examples=60, deadline=None)
@given(
    digest=st.sampled_from(["r1-e1-d1", "r2-e1-d1", "r1-e2-d1"]),
    status=st.sampled_from(["pending", "starting", "running", "upgrading", "stopped", "failed"]),
    health=st.sampled_from(["healthy", "unhealthy", "unknown"]),
    result=st.sampled_from([None, "ok", "failed", "blocked", "rolled_back", "superseded"]),
    age=st.sampled_from([0.0, 1000.0]),
)
def test_synced_means_that_git_and_what_runs_agree_and_that_it_is_healthy_and_was_seen(
    digest: str, status: Any, health: Any, result: Any, age: float
) -> None:
    outcomes = (outcome(result, not_before=0.0),) if result else ()
    one = state(digest=digest, status=status, health=health)
    found = known([app()], [one], outcomes, observed={"n1": NOW - age})
    if web(found)["sync"] == "synced":
        assert (digest, status, health, age) == ("r1-e1-d1", "running", "healthy", 0.0)
    if status_of(found)["status"] == "synced":
        assert web(found)["sync"] == "synced"


def test_a_revision_that_cannot_be_planned_is_an_error_though_everything_runs_as_before() -> None:
    found = known([app()], [state()])
    assert status_of(replace(found, failing=True))["status"] == "error"
    assert status_of(replace(found, failing=True, syncing=True))["status"] == "syncing"


def test_what_an_app_says_of_itself_is_shown_though_all_is_well_and_degrades_nothing() -> None:
    found = known([app()], [state(reason="OutOfMemory", message="killed: over its memory limit")])
    assert (web(found)["sync"], web(found)["reason"], web(found)["message"]) == (
        "synced", "OutOfMemory", "killed: over its memory limit",
    )  # fmt: skip
    assert status_of(found)["status"] == "synced"


def test_what_holds_an_app_up_counts_before_what_it_says_of_itself() -> None:
    found = known([app(digest="r2-e1-d1")], [state(reason="OutOfMemory")], (outcome(digest="r2-e1-d1"),))
    assert web(found)["reason"] == "StartFailed"
