"""Hosted apps under a real supervisor: hot reloads, what they fall back to, and deaths at every line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hosting import TARGET, HostedApp, answers, make_hosted_release, request, shop
from waiting import is_running, wait_for

from runtimes import strays
from runtimes.applied import Applied
from runtimes.base import RuntimeFailure
from runtimes.hot_reload import why_not
from runtimes.process import ProcessRuntime
from runtimes.release_facts import ReleaseFacts, read_facts
from runtimes.releases import read_current
from specs.digest import digest
from specs.model import AppSpec, Expose, Health, Hooks, Limits, Run, Upgrade

# The decision

OLD, NEW = Path("/apps/shop/releases/1"), Path("/apps/shop/releases/2")
FACTS = ReleaseFacts("shop", "3.11.7", {"uvicorn": ("0.5", "a")}, {"src/fast.so": "1"})
SPEC = AppSpec("shop", "2", run=Run(app=TARGET), health=Health(port=80))
APPLIED = Applied(
    name="shop", version="1", digest="d", release=str(OLD), processes={"main": (f"{OLD}/venv/bin/python", TARGET)},
    node="n", home_id="h", env_file="e", env_sha256="s", supervisor_pid="p", app=TARGET, port=80,
)  # fmt: skip


def reason(
    applied: Mapping[str, Any] = {}, spec: Mapping[str, Any] = {}, new: Mapping[str, Any] = {}, server: str = ""
) -> str:
    commands = {"main": (f"{NEW}/venv/bin/python", *([server] if server else []), TARGET)}
    return why_not(replace(APPLIED, **applied), replace(SPEC, **spec), commands, NEW, FACTS, replace(FACTS, **new))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"applied": {"app": ""}}, "the running release is not run.app"),
        ({"spec": {"run": Run({"main": ("shop",)})}}, "it is run.app no more"),
        ({"spec": {"run": Run(app="shop:other")}}, "run.app is another callable"),
        ({"spec": {"isolation": "embedded"}}, "its isolation changed"),
        ({"spec": {"limits": Limits(memory=1)}}, "its limits changed"),
        ({"spec": {"limits": Limits(cpus=2)}}, "its limits changed"),
        ({"spec": {"health": Health(port=81)}}, "its port changed"),
        ({"new": {"python": "3.12.1"}}, "its Python changed"),
        ({"new": {"dependencies": {"uvicorn": ("0.6", "a")}}}, "its dependencies changed: uvicorn"),
        ({"new": {"dependencies": {"uvicorn": ("0.5", "b")}}}, "its dependencies changed: uvicorn"),
        ({"new": {"dependencies": {"h11": ("1", "")}}}, "its dependencies changed: h11, uvicorn"),
        ({"new": {"extensions": {"src/fast.so": "2"}}}, "its C extensions changed: fast.so"),
        ({"new": {"extensions": {}}}, "its C extensions changed: fast.so"),
        ({"new": {"distribution": "store"}}, "its package has another name"),
        ({"server": "--servers=gunicorn"}, "its command changed"),
    ],
)
def test_why_an_app_is_not_hot_reloaded(changes: dict[str, Any], expected: str) -> None:
    assert reason(**changes) == expected


def test_the_facts_of_a_release_are_read_from_its_folder(tmp_path: Path) -> None:
    release = make_hosted_release(tmp_path / "r", {**shop("1.0"), "fast.so": "x"}, {"distribution": "The.Shop"})
    site = next((release / "venv" / "lib").glob("*/site-packages"))
    for name, record in (("h11-1.0", "h11/a.py,sha256=x,1\n"), ("the_shop-1.0", "the_shop/c.so,sha256=y,1\n")):
        (site / f"{name}.dist-info").mkdir()
        (site / f"{name}.dist-info" / "RECORD").write_text(record)
    (site / "the_shop").mkdir()
    (site / "the_shop" / "c.so").write_text("y")
    facts = read_facts(release)
    assert (facts.distribution, facts.python, list(facts.dependencies)) == ("The.Shop", "3", ["h11"])
    assert {Path(name).name for name in facts.extensions} == {"fast.so", "c.so"}
    (site / "h11-1.0.dist-info" / "RECORD").write_text("h11/a.py,sha256=z,1\n")
    assert read_facts(release).dependencies["h11"] != facts.dependencies["h11"]
    assert read_facts(tmp_path / "nothing") == ReleaseFacts()


# What happens


@pytest.fixture
def app(home: Path, port: int) -> HostedApp:
    return HostedApp(home, port)


@pytest.fixture
def runtime(app: HostedApp) -> ProcessRuntime:
    return ProcessRuntime(app.context())


def test_a_new_version_is_reloaded_into_the_running_process(
    runtime: ProcessRuntime, app: HostedApp, home: Path
) -> None:
    first = runtime.deploy(app.spec("1.0"))
    hits = app.get()["hits"]
    spec = app.spec("1.1", revision="4f2a")
    state = runtime.upgrade(spec, "1.0")
    told = app.get()
    assert (told["version"], told["pid"], told["hooks"]) == ("1.1", first.pid, [["1.0", "1.1"]])
    assert told["hits"] > hits
    assert (state.version, state.digest, state.pid, state.revision) == ("1.1", str(digest(spec)), first.pid, "4f2a")
    assert (state.status, state.health, state.message) == ("running", "healthy", "")
    assert runtime.current_state()["shop"] == state
    assert ProcessRuntime(app.context()).current_state()["shop"] == state
    assert runtime.deploy(spec) == state
    assert read_current(home / "apps" / "shop") == app.build(spec)
    applied = runtime.applied("shop")
    assert applied is not None
    assert applied.previous is not None
    assert (applied.phase, applied.previous.version) == ("running", "1.0")
    assert [event["modules"] for event in app.heard("code.load")] == [["shop.answers", "shop.web"]]
    assert not app.heard("code.purge")
    assert not app.heard("upgrade.fallback")


def test_an_exposed_app_is_reloaded_behind_its_front_and_led_to_again(runtime: ProcessRuntime, app: HostedApp) -> None:
    first = runtime.deploy(app.spec("1.0", expose=Expose(app.port)))
    route = app.home / "front" / "routes" / "shop.json"
    route.unlink()
    state = runtime.upgrade(app.spec("1.1", expose=Expose(app.port)), "1.0")
    assert (app.get()["version"], app.get()["pid"], state.pid) == ("1.1", first.pid, first.pid)
    assert (route.exists(), state.drift, runtime.current_state()["shop"]) == (True, "", state)
    assert not app.heard("upgrade.fallback")


def test_modules_that_went_are_told_as_purged(runtime: ProcessRuntime, app: HostedApp) -> None:
    app.files["1.0"] = shop("1.0", shop__old="")
    app.files["1.0"]["shop/answers.py"] = "import shop.old\n" + app.files["1.0"]["shop/answers.py"]
    runtime.deploy(app.spec("1.0"))
    runtime.upgrade(app.spec("1.1"), "1.0")
    assert [event["modules"] for event in app.heard("code.purge")] == [["shop.old"]]


def test_the_way_back_is_a_hot_reload_too(runtime: ProcessRuntime, app: HostedApp) -> None:
    first = runtime.deploy(app.spec("1.0"))
    for version in ("1.1", "1.0", "1.2", "1.0"):
        state = runtime.upgrade(app.spec(version), "?")
        assert (app.get()["version"], state.version, state.pid) == (version, version, first.pid)
        assert state.digest == str(digest(app.spec(version)))
    assert len(app.heard("code.load")) == 4


def test_a_crash_after_a_reload_starts_the_new_release(runtime: ProcessRuntime, app: HostedApp) -> None:
    first = runtime.deploy(app.spec("1.0"))
    runtime.upgrade(app.spec("1.1"), "1.0")
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: runtime.current_state()["shop"].pid not in (None, first.pid))
    state = runtime.deploy(app.spec("1.1"))
    assert app.get()["version"] == "1.1"
    assert state.digest == str(digest(app.spec("1.1")))
    assert [process.pid for process in strays.find(app.home)] == [state.pid]
    assert runtime.upgrade(app.spec("1.2"), "1.1").pid == state.pid
    assert app.get()["version"] == "1.2"


def test_a_killed_supervisor_brings_the_reloaded_release_back_once(runtime: ProcessRuntime, app: HostedApp) -> None:
    first = runtime.deploy(app.spec("1.0"))
    runtime.upgrade(app.spec("1.1"), "1.0")
    daemon = int(runtime.supervisor.pid_file.read_text())
    os.kill(daemon, signal.SIGKILL)
    wait_for(lambda: not is_running(daemon))
    runtime.revive()
    wait_for(lambda: answers(app.port))
    told = app.get()
    assert told["version"] == "1.1"
    assert told["pid"] != first.pid
    assert runtime.current_state()["shop"].digest == str(digest(app.spec("1.1")))
    assert [process.pid for process in strays.find(app.home)] == [told["pid"]]


def test_what_cannot_be_reloaded_is_restarted_and_an_event_says_why(runtime: ProcessRuntime, app: HostedApp) -> None:
    first = runtime.deploy(app.spec("1.0"))
    app.files["1.1"] = shop("1.1")
    app.files["1.1"]["shop/answers.py"] += "if '__previous__' in globals(): raise KeyError('boom')\n"
    state = runtime.upgrade(app.spec("1.1"), "1.0")
    assert app.get()["version"] == "1.1"
    assert state.pid != first.pid
    assert state.health == "healthy"
    why = app.heard("upgrade.fallback")[0]["why"]
    assert "KeyError: 'boom' (answers.py:" in why
    assert state.message == f"restarted, since it could not be hot reloaded: {why}"
    assert not app.heard("code.load")


def test_a_changed_dependency_is_a_reason_to_restart(runtime: ProcessRuntime, app: HostedApp) -> None:
    first = runtime.deploy(app.spec("1.0"))
    release = app.build(app.spec("1.1"))
    site = next((release / "venv" / "lib").glob("*/site-packages"))
    (site / "h11-2.0.dist-info").mkdir()
    state = runtime.upgrade(app.spec("1.1"), "1.0")
    assert state.pid != first.pid
    assert state.message == "restarted, since it could not be hot reloaded: its dependencies changed: h11"
    assert app.heard("upgrade.fallback") == [
        {"strategy": "hot_reload", "by": "restart", "why": "its dependencies changed: h11"}
    ]


def test_what_is_no_matter_of_the_process_is_taken_over_and_what_is_one_is_restarted(
    runtime: ProcessRuntime, app: HostedApp
) -> None:
    first = runtime.deploy(app.spec("1.0"))
    hooked = app.spec("1.0", hooks=Hooks(post_deploy=("true",)))
    state = runtime.upgrade(hooked, "1.0")
    assert (state.pid, state.digest) == (first.pid, str(digest(hooked)))
    assert runtime.current_state()["shop"] == state
    limited = app.spec("1.0", limits=Limits(cpus=1))
    again = runtime.upgrade(limited, "1.0")
    assert again.pid != first.pid
    assert again.message == "restarted, since it could not be hot reloaded: its limits changed"


def test_what_was_not_run_app_is_restarted_into_it_and_hosted_apps_run_with_any_strategy(
    runtime: ProcessRuntime, app: HostedApp
) -> None:
    script = "import http.server, os\nclass H(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n"
    script += "        self.send_response(204)\n        self.end_headers()\n    def log_message(self, *a): pass\n"
    script += "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n"
    app.files["1.0"] = {"serve.py": script}
    old = app.spec("1.0", run=Run({"main": ("python", "../current/src/serve.py")}))
    first = runtime.deploy(old)
    state = runtime.upgrade(app.spec("1.1"), "1.0")
    assert app.get()["version"] == "1.1"
    assert state.pid != first.pid
    assert "not run.app" in state.message
    restarted = runtime.upgrade(app.spec("1.2", upgrade=Upgrade("restart")), "1.1")
    assert (app.get()["version"], restarted.message) == ("1.2", "")
    assert restarted.pid != state.pid
    assert len(app.heard("upgrade.fallback")) == 1


def test_a_request_that_does_not_end_is_a_reason_to_restart(
    runtime: ProcessRuntime, app: HostedApp, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtimes.hot_reload.DRAIN_SECONDS", 0.1)
    first = runtime.deploy(app.spec("1.0"))
    gate = home / "apps" / "shop" / "data" / "slow"

    def let_it_end() -> None:
        wait_for(lambda: bool(app.heard("upgrade.fallback")))
        gate.unlink()

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(request, app.port, "/slow", 60.0)
        wait_for(gate.exists)
        ending = pool.submit(let_it_end)
        state = runtime.upgrade(app.spec("1.1"), "1.0")
        ending.result(60)
        assert slow.result(60)[0] == 200
    assert state.pid != first.pid
    assert "1 requests had not ended after 0.1 s" in state.message


def test_reloaded_but_ill_is_restarted_and_what_stays_ill_fails(
    runtime: ProcessRuntime, app: HostedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtimes.hot_reload.SETTLE_SECONDS", 0.3)
    runtime.deploy(app.spec("1.0"))
    app.files["1.1"] = shop("1.1", shop__answers="def answer(more): raise ValueError('ill')\n")
    ill = app.spec("1.1", health=Health(port=app.port, path="/", timeout=1.0, grace=1.0))
    with pytest.raises(RuntimeFailure) as caught:
        runtime.upgrade(ill, "1.0")
    assert caught.value.step == "health"
    assert "reloaded, but not healthy" in app.heard("upgrade.fallback")[0]["why"]
    assert runtime.upgrade(app.spec("1.0"), "1.1").version == "1.0"
    assert app.get()["version"] == "1.0"


# Deaths

KILLED_AT = [
    "host.ask suspend", "store.put switching", "store.put_env", "switch_current", "store.put starting",
    "host.ask upgrade", "host.ask resume", "starter.wait", "starter.proved",
]  # fmt: skip

_DIE = """
    import os, signal, sys
    sys.path[:0] = [{root!r}, {support!r}]
    from pathlib import Path
    from hosting import HostedApp
    from runtimes import bringing, hot_reload, releases, starting
    from runtimes.applied import AppliedStore
    from runtimes.host_client import HostClient
    from runtimes.process import ProcessRuntime

    when, at = {when!r}, {at!r}

    def dying(owner, name, matches):
        real = getattr(owner, name)
        def wrapped(*arguments, **options):
            hit = matches(arguments, options)
            if hit and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **options)
            if hit:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        setattr(owner, name, wrapped)

    what, _, which = at.partition(" ")
    if what == "host.ask":
        dying(HostClient, "ask", lambda a, o: a[1] == which)
    elif what == "store.put":
        dying(AppliedStore, "put", lambda a, o: a[1].phase == which)
    elif what == "store.put_env":
        dying(AppliedStore, "put_env", lambda a, o: True)
    elif what == "switch_current":
        dying(releases, "switch_current", lambda a, o: True)
    elif what == "starter.wait":
        dying(starting.Starter, "wait", lambda a, o: True)
    else:
        dying(starting.Starter, "proved", lambda a, o: True)
    app = HostedApp(Path({home!r}), {port})
    ProcessRuntime(app.context()).upgrade(app.spec("1.1"), "1.0")
"""


def die(app: HostedApp, at: str, when: str) -> None:
    root = Path(__file__).parents[2]
    code = textwrap.dedent(_DIE).format(
        root=str(root), support=str(root / "tests" / "support"), when=when, at=at, home=str(app.home), port=app.port
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("at", "when"), [(KILLED_AT[0], "before"), *((at, "after") for at in KILLED_AT)], ids=lambda value: value
)
def test_killed_at_any_line_the_app_serves_and_the_next_deploy_ends_with_the_new_version(
    app: HostedApp, runtime: ProcessRuntime, at: str, when: str
) -> None:
    first = runtime.deploy(app.spec("1.0"))
    die(app, at, when)
    told = app.get()  # is answered at once: nobody is held any more
    assert told["pid"] == first.pid
    seen = runtime.current_state()["shop"]
    assert seen.digest == str(digest(app.spec(told["version"])))
    state = runtime.deploy(app.spec("1.1"))
    assert (app.get()["version"], state.version, state.health) == ("1.1", "1.1", "healthy")
    assert (state.status, state.pid, state.digest) == ("running", first.pid, str(digest(app.spec("1.1"))))
    assert [process.pid for process in strays.find(app.home)] == [first.pid]
    assert runtime.current_state()["shop"] == state


def test_a_host_that_does_not_answer_is_taken_to_run_what_it_was_seen_to(
    app: HostedApp, runtime: ProcessRuntime
) -> None:
    runtime.deploy(app.spec("1.0"))
    state = runtime.upgrade(app.spec("1.1"), "1.0")
    assert state.pid is not None
    os.kill(state.pid, signal.SIGSTOP)
    try:
        assert ProcessRuntime(app.context()).current_state()["shop"] == state
    finally:
        os.kill(state.pid, signal.SIGCONT)


def test_a_host_that_dies_while_it_is_reloaded_comes_back_with_the_new_version(
    app: HostedApp, runtime: ProcessRuntime
) -> None:
    first = runtime.deploy(app.spec("1.0"))
    app.files["1.1"] = shop("1.1")
    app.files["1.1"]["shop/answers.py"] += "if '__previous__' in globals(): os.kill(os.getpid(), 9)\n"
    state = runtime.upgrade(app.spec("1.1"), "1.0")
    assert app.get()["version"] == "1.1"
    assert (state.version, state.health) == ("1.1", "healthy")
    assert first.pid is not None
    assert not is_running(first.pid)
    assert [process.pid for process in strays.find(app.home)] == [state.pid]


def test_a_release_that_was_reloaded_away_may_be_pruned(app: HostedApp, runtime: ProcessRuntime) -> None:
    app.files["1.0"] = shop("1.0", shop__late="X = 'old'\n")
    runtime.deploy(app.spec("1.0"))
    new = shop("1.1", shop__late="X = 'new'\n")
    new["shop/answers.py"] = new["shop/answers.py"].replace('"hits"', '"late": __import__("shop.late").late.X, "hits"')
    app.files["1.1"] = new
    runtime.upgrade(app.spec("1.1"), "1.0")
    shutil.rmtree(app.build(app.spec("1.0")))
    assert app.get()["late"] == "new"
    assert runtime.upgrade(app.spec("1.2"), "1.1").version == "1.2"
    assert app.get()["version"] == "1.2"
    applied = runtime.applied("shop")
    assert applied is not None
    code = Path(applied.env_file).parent / "run" / "main.code"
    assert code.resolve() == app.build(app.spec("1.2")).resolve()
