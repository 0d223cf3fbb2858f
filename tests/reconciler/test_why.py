"""Why an app is as it is, and what happens next."""

from __future__ import annotations

import pytest

from reconciler.policy import EVERYTHING, Policy
from reconciler.status import Standing, Sync
from reconciler.why import explain
from specs.appstate import AppState
from specs.desired import DesiredApp
from specs.model import Suspend
from state.holds import Suspension
from state.outcomes import Outcome

NOW = 1_000_000.0
APP = DesiredApp("web", "web", "apps/web/app.yaml", "", version="2.0.0", digest="r2-e1-d1")
STATE = AppState("web", "1.0.0", digest="r1-e1-d1", status="running", health="healthy", node="n1")


def told(
    sync: Sync,
    reason: str = "",
    message: str = "",
    *,
    app: DesiredApp | None = APP,
    state: AppState | None = STATE,
    outcomes: tuple[Outcome, ...] = (),
) -> tuple[str, str]:
    standing = Standing(sync, "running", "healthy", reason, message, state)
    found = explain("web", app, standing, outcomes, NOW, "0123456789abcdef")
    return found["explanation"], found["next"]


def failed(**fields: object) -> Outcome:
    given = {"action": "upgrade", "result": "failed", "version": "2.0.0", "attempts": 1, **fields}
    return Outcome("web", "n1", **given)


def test_of_what_is_well_there_is_nothing_to_do() -> None:
    explanation, following = told("synced")
    assert explanation == "web 1.0.0 runs as Git says and is healthy."
    assert following == ""


@pytest.mark.parametrize(
    ("wait", "when"),
    [(600.0, "in 10 min"), (20.0, "in 20 s"), (0.2, "in 1 s"), (-5.0, "with the next sync")],
)
def test_a_failed_app_says_when_it_is_tried_again(wait: float, when: str) -> None:
    explanation, following = told("out_of_sync", "StartFailed", outcomes=(failed(attempts=3, not_before=NOW + wait),))
    assert explanation == "The upgrade of web to 2.0.0 on n1 failed 3 times."
    assert following == f"next try {when}, or at once when its spec changes or with: celeriac sync --force"


def test_what_is_not_tried_again_by_itself_says_so() -> None:
    explanation, following = told("out_of_sync", "Misuse", outcomes=(failed(not_before=NOW + 10 * 365 * 86400),))
    assert explanation == "The upgrade of web to 2.0.0 on n1 failed."
    assert "correct its spec" in following


def test_a_rolled_back_app_says_from_what() -> None:
    outcome = failed(result="rolled_back", not_before=NOW + 30)
    explanation, _ = told("out_of_sync", "RolledBack", outcomes=(outcome,))
    assert explanation == "web was moved to 2.0.0, which failed; it was rolled back."


@pytest.mark.parametrize(
    ("sync", "reason", "explanation", "following"),
    [
        ("invalid", "Invalid", "The spec of web is not valid", "correct the spec"),
        ("suspended", "Suspended", "web is suspended", "celeriac resume web"),
        ("blocked", "DependencyNotReady", "web waits", "it follows by itself"),
        ("out_of_sync", "HeldByHand", "web runs 1.0.0, Git says 2.0.0.", "until its spec in Git changes"),
        ("unknown", "NotObserved", "web runs 1.0.0, Git says 2.0.0.", "celeriac nodes"),
        ("out_of_sync", "VersionChanged", "web runs 1.0.0, Git says 2.0.0.", "celeriac sync"),
    ],
)
def test_each_reason_comes_with_the_next_thing_to_do(sync: Sync, reason: str, explanation: str, following: str) -> None:
    found = told(sync, reason)
    assert explanation in found[0]
    assert following in found[1]


def test_what_is_suspended_with_everything_else_is_resumed_with_everything_else() -> None:
    assert told("suspended", "Suspended", "everything is suspended; pending: upgrade")[1] == "celeriac resume"


def test_a_reason_does_not_hide_that_everything_is_suspended() -> None:
    policy = Policy(suspensions={EVERYTHING: Suspension(reason="we move")})
    message = policy.suspended("web", None, 0.0)
    assert message == "everything is suspended: we move"
    assert told("suspended", "Suspended", message)[1] == "celeriac resume"


def test_who_waits_is_said_once_to_wait() -> None:
    found = told("blocked", "DependencyNotReady", "waits for db, which is not healthy (SyncWindow)")
    assert found[0] == "web waits for db, which is not healthy (SyncWindow)."


def test_what_is_suspended_in_its_spec_is_resumed_there() -> None:
    app = DesiredApp("web", "web", "apps/web/app.yaml", "", suspend=Suspend(reason="a holiday"))
    assert told("suspended", "Suspended", "a holiday", app=app)[1] == "take suspend out of apps/web/app.yaml and push"


def test_a_removal_that_waits_names_the_revision_to_acknowledge() -> None:
    explanation, following = told("out_of_sync", "RemovalBudget", app=None)
    assert explanation == "web is gone from Git but still runs."
    assert "celeriac sync --allow-removals 0123456789ab" in following
    assert following.endswith("0123456789ab")


def test_what_does_not_run_yet_says_so() -> None:
    assert told("out_of_sync", "NotDeployed", state=None)[0] == "web 2.0.0 is desired and does not run yet."


def test_an_app_that_was_killed_for_its_memory_says_so_though_it_is_well_again() -> None:
    explanation, following = told(
        "synced", "OutOfMemory", "killed: over its memory limit of 64MB (cgroup v2), restarted"
    )
    assert explanation == "web 1.0.0 used more memory than it may, was killed for that, and was started again."
    assert following.startswith("raise limits.memory in apps/web/app.yaml and push, if it needs more")
    assert following.endswith("celeriac logs web")


def test_an_app_that_never_has_enough_memory_says_when_it_is_tried_again_too() -> None:
    explanation, following = told("out_of_sync", "OutOfMemory", outcomes=(failed(not_before=NOW + 600),))
    assert explanation == "The upgrade of web to 2.0.0 on n1 failed."
    assert "raise limits.memory" in following
    assert "next try in 10 min" in following


def test_a_failed_post_deploy_and_a_closed_window_say_what_follows() -> None:
    explanation, following = told("synced", "PostDeployFailed")
    assert explanation == "web 1.0.0 runs as Git says and is healthy; its post_deploy failed."
    assert "celeriac logs web -p hook" in following
    explanation, following = told("out_of_sync", "SyncWindow", "held back by a sync window until 2026-01-01T22:00:00Z")
    assert explanation == "web runs 1.0.0, Git says 2.0.0."
    assert following == "it is done by itself when the window opens; now with: celeriac sync --force --app web"
