"""The public API: what is, read from Redis alone, and what may be asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_for
from workbench import Workbench

from celeriac.errors import MisuseError
from runtimes.base import AppSpec
from tasks import api

ROOT = Path(__file__).parents[2]
APP_FIELDS = {
    "sync", "status", "health", "version", "desired_version", "node", "pid", "started_at", "reason", "message",
    "depends_on",
}  # fmt: skip


def deployed(bench: Workbench, *names: str, **env: str) -> None:
    for name in names:
        bench.app(name, **env)
    bench.commit()
    bench.sync()


def test_status_has_the_shape_of_the_contract(bench: Workbench) -> None:
    bench.app("db")
    bench.app("web", more="depends_on: [db]")
    revision = bench.commit()
    bench.sync()
    found = api.status()
    assert set(found) == {
        "status", "revision", "branch", "app_count", "healthy_count", "last_sync", "next_sync", "apps",
    }  # fmt: skip
    assert (found["status"], found["revision"], found["branch"]) == ("synced", revision, "main")
    assert (found["app_count"], found["healthy_count"]) == (2, 2)
    assert set(found["apps"]["web"]) == APP_FIELDS
    assert found["apps"]["web"]["depends_on"] == ["db"]


def test_what_git_says_and_what_runs_are_told_without_an_environment(bench: Workbench) -> None:
    deployed(bench, "web", TOKEN="hunter2")
    desired, live = api.desired_state(), api.current_state()
    assert (desired["web"]["version"], desired["web"]["valid"], desired["web"]["problems"]) == ("1.0.0", True, [])
    assert live["web"]["n1"]["version"] == "1.0.0"
    everything = (desired, live, api.status(), api.app_status("web"), api.events(), api.history("web"), api.why("web"))
    assert "hunter2" not in repr(everything)


def test_everything_of_one_app(bench: Workbench) -> None:
    deployed(bench, "web")
    found = api.app_status("web")
    assert set(found) > APP_FIELDS
    assert (found["name"], found["path"], found["strategy"]) == ("web", "apps/web/app.yaml", "restart")
    assert found["digest"] == found["desired_digest"] == bench.live("web").digest
    assert found["icon"]["mime_type"] == "image/svg+xml"
    assert found["icon"]["value"].startswith("<svg")
    assert list(found["nodes"]) == ["n1"]
    assert found["observed_at"]


def test_an_app_that_runs_though_it_is_gone_from_git_is_known(bench: Workbench) -> None:
    deployed(bench, "keep", "web")
    bench.write("web", 'name: web\nversion: "1.0.0"\nprune: false\n')
    bench.commit()
    bench.sync()
    bench.drop("web")
    bench.commit()
    bench.sync()
    found = api.app_status("web")
    assert (found["reason"], found["desired_version"], found["path"]) == ("PruneOff", "", "")
    assert api.why("web")["next"] == "celeriac remove web, if it should go"


@pytest.mark.parametrize("ask", [api.app_status, api.why, api.history, api.logs, api.remove, api.restart, api.suspend])
def test_an_app_that_there_is_not_is_misuse_with_the_nearest_name(bench: Workbench, ask: Any) -> None:
    deployed(bench, "shop")
    with pytest.raises(api.UnknownApp) as caught:
        ask("shpo")
    assert caught.value.message == "there is no app 'shpo'"
    assert "shop" in caught.value.hint


def test_why_explains_a_failure_and_shows_the_last_lines_that_the_app_printed(bench: Workbench) -> None:
    logs = bench.engine.settings.home / "logs"
    logs.mkdir()
    (logs / "web.main.log").write_text("".join(f"line {number}\n" for number in range(20)))
    deployed(bench, "web", NOOP_FAIL="deploy")
    found = api.why("web")
    assert (found["app"], found["sync"], found["reason"]) == ("web", "out_of_sync", "StartFailed")
    assert found["explanation"] == "The deploy of web to 1.0.0 on n1 failed."
    assert found["next"].startswith("next try in ")
    assert found["log"][-1] == {"process": "main", "line": "line 19"}
    assert len(found["log"]) == 10
    assert api.logs("web", 2) == [{"process": "main", "line": f"line {number}"} for number in (18, 19)]


def test_lines_are_followed_as_they_are_printed(bench: Workbench) -> None:
    logs = bench.engine.settings.home / "logs"
    logs.mkdir()
    log = logs / "web.main.log"
    log.write_text("before\n")
    deployed(bench, "web")
    found: list[dict[str, str]] = []
    reader = threading.Thread(target=lambda: found.append(next(api.follow_logs("web"))), daemon=True)
    reader.start()

    def printed() -> bool:
        with log.open("a") as file:
            file.write("now\n")
        return bool(found)

    wait_for(printed)
    assert found == [{"process": "main", "line": "now"}]


def test_history_and_events_are_told_in_their_orders(bench: Workbench) -> None:
    deployed(bench, "web")
    bench.app("web", "2.0.0")
    bench.commit()
    bench.sync()
    assert [change["action"] for change in api.history("web")] == ["upgrade", "deploy"]
    assert [event["name"] for event in api.events(app="web")] == [
        "deploy.start", "deploy.stop", "upgrade.start", "upgrade.stop",
    ]  # fmt: skip
    assert [event["name"] for event in api.events(1)] == ["reconcile.stop"]


def test_events_are_followed_from_now_on(bench: Workbench) -> None:
    deployed(bench, "web")
    assert list(api.follow_events(timeout=0.01)) == []
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(next(api.follow_events())["name"]), daemon=True)
    reader.start()

    def happened() -> bool:
        bench.engine.emit(type(bench.told[0])("node.up"))
        return bool(found)

    wait_for(happened)
    assert found == ["node.up"]


def test_a_run_is_asked_for_watched_and_waited_for(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    asked = api.request_sync()
    assert asked["started"] is True
    again = api.request_sync(force=True)
    assert (again["run"], again["started"]) == (asked["run"], False)
    progress = api.run_progress(asked["run"])
    assert progress is not None
    assert (progress["status"], [step["task"] for step in progress["steps"]]) == ("syncing", ["pull"])
    assert api.run_record(asked["run"]) is None
    with pytest.raises(TimeoutError, match="has not ended"):
        api.wait(asked["run"], timeout=0.0)
    bench.work()
    assert api.wait(asked["run"])["status"] == "synced"
    assert api.run_progress(asked["run"]) is None


def test_a_sync_of_one_app_alone_leaves_the_others(bench: Workbench) -> None:
    deployed(bench, "a", "b")
    for name in ("a", "b"):
        bench.app(name, "2.0.0")
    bench.commit()
    api.request_sync(app="a")
    bench.work()
    assert (bench.live("a").version, bench.live("b").version) == ("2.0.0", "1.0.0")
    with pytest.raises(api.UnknownApp):
        api.request_sync(app="c")


def test_what_is_suspended_stays_as_it_is_until_it_is_resumed(bench: Workbench) -> None:
    deployed(bench, "a", "b")
    api.suspend("a", reason="a holiday")
    for name in ("a", "b"):
        bench.app(name, "2.0.0")
    bench.commit()
    bench.sync()
    shown = api.status()["apps"]
    assert (shown["a"]["sync"], shown["a"]["message"]) == ("suspended", "a holiday; pending: upgrade")
    assert shown["b"]["version"] == "2.0.0"
    api.resume("a")
    assert bench.engine.due.due(bench.engine.store.now()) == ["resumed"]
    bench.sync("beat")
    assert api.status()["apps"]["a"]["version"] == "2.0.0"
    api.resume("b")  # was not suspended: fine
    with pytest.raises(api.UnknownApp):
        api.resume("c")


def test_everything_may_be_suspended_until_a_time(bench: Workbench) -> None:
    deployed(bench, "a")
    until = bench.engine.store.now() + 1000
    api.suspend(until=until)
    ends = datetime.fromtimestamp(until, UTC)
    assert api.status()["apps"]["a"]["message"] == f"everything is suspended, until {ends:%Y-%m-%dT%H:%M:%SZ}"
    assert bench.engine.due.next() == until
    api.resume()
    assert api.status()["apps"]["a"]["sync"] == "synced"


def test_the_machines_are_told(bench: Workbench) -> None:
    assert [(node["name"], node["alive"]) for node in api.nodes()] == [("n1", True)]


def test_the_cost_of_a_status_does_not_grow_with_the_number_of_apps(bench: Workbench) -> None:
    def commands() -> int:
        client = bench.engine.store.client
        before = client.info("stats")["total_commands_processed"]
        api.status()
        return int(client.info("stats")["total_commands_processed"] - before)

    deployed(bench, "a")
    api.status()
    few = min(commands() for _ in range(3))  # a connection made anew greets with some commands of its own
    deployed(bench, *(f"app-{number}" for number in range(30)))
    assert api.status()["app_count"] == 31
    assert min(commands() for _ in range(3)) == few


def test_settings_that_change_are_followed(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(bench, "web")
    assert api.status()["app_count"] == 1
    monkeypatch.setenv("CELERIAC_KEY_PREFIX", "another")
    assert api.status()["app_count"] == 0


def test_the_public_face_is_one_import() -> None:
    from tasks import (
        app,
        app_status,
        current_state,
        deploy,
        desired_state,
        events,
        history,
        plan,
        remove,
        resume,
        rollback,
        status,
        suspend,
        sync,
        upgrade,
    )  # fmt: skip

    assert (app.main, sync.name) == ("tasks", "sync")
    reading = (app_status, current_state, desired_state, events, history, plan, status)
    changing = (deploy, remove, resume, rollback, suspend, upgrade)
    assert all(callable(one) for one in (*reading, *changing))
    import tasks

    with pytest.raises(AttributeError, match="no attribute 'synk'"):
        tasks.synk  # noqa: B018


def test_what_reads_imports_neither_celery_nor_git(bench: Workbench) -> None:
    deployed(bench, "web")
    code = (
        "import sys\n"
        "from tasks import app_status, current_state, desired_state, history, status\n"
        "from tasks import api\n"
        "assert status()['apps']['web']['sync'] == 'synced'\n"
        "app_status('web'), current_state(), desired_state(), history('web'), api.events(), api.why('web')\n"
        "heavy = {'celery', 'kombu', 'git', 'flower', 'sentry_sdk', 'ruamel', 'marshmallow', 'specs.repository'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_what_runs_nowhere_cannot_be_changed_by_hand(bench: Workbench) -> None:
    deployed(bench, "web", NOOP_FAIL="build")
    with pytest.raises(MisuseError) as caught:
        api.rollback("web")
    assert (caught.value.message, caught.value.hint) == ("web runs nowhere", "see why: celeriac why web")


def test_what_changes_something_answers_at_once_with_its_run(bench: Workbench) -> None:
    deployed(bench, "web")
    asked = api.deploy(AppSpec("extra", "1.0"))
    assert asked["started"] is True
    bench.work()
    record = api.run_record(asked["run"])
    assert record is not None
    assert record["counts"] == {"ok": 1}
