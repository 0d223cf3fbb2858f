"""Hooks: once per run and app, in the new release, before and after it goes live; and what follows when one fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from waiting import is_running, wait_for
from workbench import Workbench

from reconciler.apply import apply
from reconciler.asking import ask_for_steps, stamp
from reconciler.hooklog import HookLog, log_path, secrets_in
from reconciler.hooks import CUT_OFF
from reconciler.steps import manual_step
from reconciler.work import perform
from runtimes.base import RuntimeContext
from runtimes.logs import tail
from runtimes.noop import NoopRuntime
from specs.model import AppSpec

SECRET = "hunter2-very-secret"


class Hooked(NoopRuntime):
    """The runtime that runs nothing, of an app whose hooks are run all the same."""

    runs_hooks = True


@pytest.fixture
def hooked(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A workbench whose apps have a release with an interpreter in it, and nothing else."""
    home = bench.engine.settings.home

    def release(spec: AppSpec) -> Path:
        folder = home / "apps" / spec.name / "releases" / spec.version
        (folder / "venv" / "bin").mkdir(parents=True, exist_ok=True)
        if not (folder / "venv" / "bin" / "python").exists():
            (folder / "venv" / "bin" / "python").symlink_to(sys.executable)
        return folder

    monkeypatch.setattr(bench.engine, "release", release)
    bench.engine.runtime = Hooked(RuntimeContext(home=home, node="n1"))
    return bench


def app(bench: Workbench, version: str = "1.0.0", **more: Any) -> None:
    """An app whose pre_deploy notes in its data folder what it was told, and prints."""
    pre = (
        "import os, sys; print('migrating', os.environ['CELERIAC_VERSION'], os.environ.get('TOKEN'));"
        "open('ran', 'a').write(os.environ['CELERIAC_HOOK'] + ' ' + os.environ['CELERIAC_OLD_VERSION'] + ' '"
        " + sys.argv[1] + chr(10))"
    )
    hooks = {"pre_deploy": ["python", "-c", pre, "$COLOUR"], **more}
    lines = [f"  {name}: {value!r}" for name, value in hooks.items()]
    bench.app("web", version, more="\n".join(["hooks:", *lines]), COLOUR="blue", TOKEN=SECRET)
    bench.commit()


def ran(bench: Workbench) -> list[str]:
    path = bench.engine.settings.home / "apps" / "web" / "data" / "ran"
    return path.read_text().splitlines() if path.exists() else []


def test_a_hook_runs_in_the_new_release_with_the_apps_environment_and_is_told(hooked: Workbench) -> None:
    app(hooked, "1.0.0")
    assert hooked.sync()["status"] == "synced"
    app(hooked, "2.0.0")
    assert hooked.sync()["status"] == "synced"
    assert ran(hooked) == ["pre_deploy  blue", "pre_deploy 1.0.0 blue"]
    log = log_path(hooked.engine.settings.home, "web")
    assert log.stat().st_mode & 0o777 == 0o600
    assert [line.process for line in tail(hooked.engine.settings.home, "web", 1)] == ["hook"]
    assert "migrating 2.0.0 ***" in log.read_text()
    change = hooked.engine.history.of("web")[0]
    assert change.output == ("migrating 2.0.0 ***",)
    stop = hooked.events("upgrade.stop")[-1]
    assert [(hook["hook"], hook["result"]) for hook in stop.extra["hooks"]] == [("pre_deploy", "ok")]
    assert "hook" in stop.extra["stages"]
    from leaks import everything, leaked

    assert not leaked(SECRET, everything(hooked.engine.store.client, f"{hooked.engine.store.key('')}*"))


def test_the_plan_says_that_hooks_will_run(hooked: Workbench) -> None:
    app(hooked, post_deploy=["python", "-c", ""])
    hooked.ask()
    hooked.until("deploy")
    from reconciler.known import known
    from reconciler.planning import plan

    facts = known(hooked.engine)
    (action,) = plan(facts.apps, facts.live, facts.policy).document()["actions"]
    assert (action["action"], action["hooks"]) == ("deploy", ["pre_deploy", "post_deploy"])


def test_a_hook_that_fails_stops_the_change_before_anything_changed(hooked: Workbench) -> None:
    app(hooked)
    hooked.app("user", more="depends_on: [web]")
    hooked.commit()
    hooked.sync()
    app(hooked, "2.0.0", pre_deploy=["python", "-c", "print('no such column'); raise SystemExit(4)"])
    hooked.app("user", "2.0.0", more="depends_on: [web]")
    hooked.commit()
    record = hooked.sync()
    steps = {step["app"]: (step["state"], step["reason"]) for step in record["steps"]}
    assert steps == {"web": ("failed", "HookFailed"), "user": ("blocked", "DependencyFailed")}
    assert hooked.live("web").version == "1.0.0"
    assert hooked.events("rollback.start") == []
    shown = hooked.status()["apps"]["web"]
    assert (shown["sync"], shown["status"], shown["health"], shown["reason"]) == (
        "out_of_sync", "running", "healthy", "HookFailed",
    )  # fmt: skip
    assert "pre_deploy ended with exit code 4; nothing of the app was changed" in shown["message"]
    assert "no such column" in shown["message"]
    assert hooked.engine.history.of("web")[0].output == ("no such column",)
    outcome = hooked.engine.outcomes.all()["web", "n1"]
    assert outcome.not_before > outcome.at


def test_a_hook_that_takes_too_long_is_ended(hooked: Workbench) -> None:
    app(hooked, pre_deploy=["python", "-c", "import time; time.sleep(60)"], timeout="300ms")
    step = hooked.sync()["steps"][0]
    assert (step["state"], step["reason"]) == ("failed", "HookFailed")
    assert "was stopped after 0.3s" in step["message"]


def test_no_hook_runs_for_a_repair_a_new_environment_or_a_roll_back(hooked: Workbench) -> None:
    app(hooked, "1.0.0")
    hooked.sync()
    app(hooked, "2.0.0", post_deploy=["python", "-c", "open('ran', 'a').write('after')"])
    hooked.sync()
    before = ran(hooked)
    assert before[-1] == "after"
    state = hooked.engine.live.app("web")["n1"]
    hooked.engine.live.put(replace(state, status="stopped"))
    assert [step["action"] for step in hooked.sync()["steps"]] == ["repair"]
    given = {"from_digest": state.digest, "from_version": state.version}
    ask_for_steps(hooked.engine, [manual_step("rollback", "web", "n1", stamp(), **given)])
    hooked.work()
    assert hooked.live("web").version == "1.0.0"
    assert ran(hooked) == before


def test_before_a_renaming_a_hook_works_on_the_data_of_the_old_name(hooked: Workbench) -> None:
    app(hooked)
    hooked.sync()
    data = hooked.engine.settings.home / "apps" / "web" / "data"
    text = (hooked.repo / "apps" / "web" / "app.yaml").read_text()
    hooked.drop("web")
    hooked.write("shop", text.replace("name: web", "name: shop") + "renamed_from: web\n")
    hooked.commit()
    assert [step["action"] for step in hooked.sync()["steps"]] == ["adopt"]
    assert len((data / "ran").read_text().splitlines()) == 2


def test_a_message_that_comes_twice_and_a_retry_after_the_end_run_it_once(hooked: Workbench) -> None:
    app(hooked)
    hooked.ask()
    run, step = hooked.until("deploy")
    hooked.sent.pop(0)

    def lost(engine: Any, claim: Any) -> Any:
        """The hook has run and the app is deployed, but the worker dies before that is written."""
        apply(engine, claim)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(hooked.engine, run, step.id, lost)
    assert len(ran(hooked)) == 1
    assert perform(hooked.engine, run, step.id, apply).state == "ok"
    assert perform(hooked.engine, run, step.id, apply).state in ("Done", "UnknownRun")
    assert len(ran(hooked)) == 1
    app(hooked, "1.0.1")
    hooked.work()
    hooked.sync()
    assert len(ran(hooked)) == 2


def test_of_several_nodes_one_runs_it_and_the_others_wait_for_that(hooked: Workbench) -> None:
    import threading

    hooked.node("n2")
    slow = ["python", "-c", "import time; time.sleep(0.5); open('ran', 'a').write('once' + chr(10))"]
    app(hooked, pre_deploy=slow)
    hooked.write("web", (hooked.repo / "apps/web/app.yaml").read_text() + "placement: {replicas: 2}\n")
    hooked.commit()
    hooked.ask()
    hooked.engine.live.replace("n2", {}, time.time())
    (run, first) = hooked.until("deploy")
    steps = [step for _, step in hooked.sent]
    assert sorted(step.node for step in steps) == ["n1", "n2"]
    from reconciler.engine import Engine

    other = Engine(hooked.engine.settings, publish=hooked.engine.publish)
    other.runtime = hooked.engine.runtime
    other.release = hooked.engine.release  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: perform(other, run, steps[1].id, apply))
    thread.start()
    perform(hooked.engine, run, first.id, apply)
    thread.join()
    assert ran(hooked) == ["once"]
    record = hooked.engine.runs.record(run)
    assert record is not None
    assert {step["node"]: step["state"] for step in record["steps"]} == {"n1": "ok", "n2": "ok"}


DYING = """
import sys
sys.path[:0] = [{support!r}, {root!r}]
from pathlib import Path
from celeriac.settings import Settings
from reconciler.apply import apply
from reconciler.asking import ask_for_steps, stamp
from reconciler.engine import Engine
from reconciler.steps import manual_step
from reconciler.work import perform
from runtimes.base import RuntimeContext
from runtimes.noop import NoopRuntime
class Hooked(NoopRuntime):
    runs_hooks = True
home = Path({home!r})
engine = Engine(Settings(redis_url={url!r}, key_prefix={prefix!r}, home=home, node="n1", runtime="noop", lease=1.0))
engine.runtime = Hooked(RuntimeContext(home=home, node="n1"))
engine.release = lambda spec: home / "apps" / spec.name / "releases" / spec.version
perform(engine, {run!r}, {step!r}, apply)
"""


def test_a_hook_that_was_cut_off_by_the_workers_death_is_not_run_again_in_that_run(hooked: Workbench) -> None:
    # What it starts is in a session of its own, so that only a search finds it.
    endless = (
        "import os, subprocess, sys, time; open('ran', 'a').write('begun' + chr(10));"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True);"
        "open('pids.part', 'w').write(str(os.getpid()) + ' ' + str(child.pid)); os.rename('pids.part', 'pids');"
        "time.sleep(600)"
    )
    app(hooked, pre_deploy=["python", "-c", endless])
    hooked.ask()
    run, step = hooked.until("deploy")
    hooked.engine.release(hooked.engine.vault.get(step.digest))  # type: ignore[arg-type]
    home, root = hooked.engine.settings.home, Path(__file__).parents[2]
    code = DYING.format(
        support=str(root / "tests/support"), root=str(root), home=str(home), url=hooked.engine.store.url,
        prefix=hooked.engine.store.prefix, run=run, step=step.id,
    )  # fmt: skip
    worker = subprocess.Popen([sys.executable, "-c", code])
    pids = home / "apps" / "web" / "data" / "pids"
    wait_for(pids.exists)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    hook, grandchild = map(int, pids.read_text().split())
    wait_for(lambda: not is_running(hook))  # by the kernel
    wait_for(lambda: hooked.engine.leases.holder("web@n1") is None)
    hooked.engine.runs.sweep(stale=0)
    done = perform(hooked.engine, run, step.id, apply)
    assert done.outcome is not None
    assert (done.state, done.outcome.reason) == ("failed", "HookFailed")
    assert CUT_OFF in done.outcome.message
    wait_for(lambda: not is_running(grandchild))
    assert hooked.live("web") is None
    assert ran(hooked) == ["begun"]
    app(hooked)  # the same again, in another run
    hooked.sent.clear()
    hooked.sync(force=True)
    assert len(ran(hooked)) == 2


def test_a_newer_commit_ends_a_hook_that_is_not_wanted_any_more(hooked: Workbench) -> None:
    import threading

    app(hooked, pre_deploy=["python", "-c", "import time; open('ran', 'a').write('begun'); time.sleep(600)"])
    hooked.ask()
    run, step = hooked.until("deploy")
    thread = threading.Thread(target=lambda: perform(hooked.engine, run, step.id, apply))
    hooked.sent.pop(0)
    thread.start()
    wait_for(lambda: ran(hooked) == ["begun"])
    hooked.drop("web")
    hooked.app("web", "2.0.0")
    hooked.commit()
    hooked.ask()
    thread.join(30)
    assert not thread.is_alive()
    assert {r.step.app: r.state for r in hooked.engine.runs.steps(run) if r.step.app} in ({"web": "superseded"}, {})
    hooked.work()
    assert hooked.live("web").version == "2.0.0"


def test_a_post_deploy_that_fails_is_told_and_leaves_the_app_live(hooked: Workbench) -> None:
    app(hooked, "1.0.0")
    hooked.app("user", more="depends_on: [web]")
    hooked.commit()
    hooked.sync()
    app(hooked, "2.0.0", post_deploy=["python", "-c", "raise SystemExit('cache is cold')"])
    hooked.app("user", "2.0.0", more="depends_on: [web]")
    hooked.commit()
    record = hooked.sync()
    assert record["status"] == "degraded"
    assert {step["app"]: step["state"] for step in record["steps"]} == {"web": "failed", "user": "ok"}
    from reconciler.observe import observe

    observe(hooked.engine)
    shown = hooked.status()
    web = shown["apps"]["web"]
    assert (shown["status"], web["sync"], web["version"], web["reason"]) == (
        "degraded", "synced", "2.0.0", "PostDeployFailed",
    )  # fmt: skip
    assert "cache is cold" in web["message"]
    assert hooked.sync()["steps"] == []  # nothing to do, and nothing is run again
    app(hooked, "2.0.1")
    assert hooked.sync()["counts"] == {"ok": 1}
    assert hooked.status()["apps"]["web"]["reason"] == ""


def test_a_long_log_is_set_aside_and_what_is_secret_by_its_name_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = secrets_in({"DB": "postgres://joe:s3cretpw@db/x", "API_KEY": "abcdefgh", "COLOUR": "blue-and-green"})
    log = HookLog(tmp_path, "web", secrets)
    monkeypatch.setattr("reconciler.hooklog._BYTES", 100)
    for number in range(12):
        log.begin(f"pre_deploy {number}")
        log.line("abcdefgh s3cretpw blue-and-green")
    files = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert files == ["web.hook.log", "web.hook.log.1", "web.hook.log.2", "web.hook.log.3"]
    (tmp_path / "logs" / "web.hook.log").unlink()
    (tmp_path / "logs" / "web.hook.log").mkdir()
    log.line("nowhere to put it, and no reason to fail")
    assert "*** *** blue-and-green" in (tmp_path / "logs" / "web.hook.log.1").read_text()


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"
    secrets = secrets_in({"TLS_KEY": key, "DB_PASS": "hunter22", "MYSQL_PWD": "swordfish", "BYPASS": "no"})
    log = HookLog(Path("nowhere"), "web", secrets)
    for line in ("MIIEvQIBADANBg", "kqhkiG9w0BAQEF", "with hunter22", "and swordfish"):
        assert "***" in log.masked(line), line
    assert log.masked("at the END") == "at the END"
