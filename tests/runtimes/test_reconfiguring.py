"""A new environment for a hosted app: by its hook, by a signal, by a restart; killed at every line."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hosting import ASGI, TARGET, HostedApp, answers, shop
from waiting import wait_for

from runtimes import strays
from runtimes.process import ProcessRuntime
from specs.digest import digest
from specs.model import Expose, Run

HOOK = "def config_change(changed, new, removed):\n    state.hooks.append([changed, new, removed])\n"


@pytest.fixture
def app(home: Path, port: int) -> HostedApp:
    hosted = HostedApp(home, port)
    hosted.files["1.0"] = shop("1.0", shop__web=ASGI + HOOK)
    return hosted


@pytest.fixture
def runtime(app: HostedApp) -> ProcessRuntime:
    return ProcessRuntime(app.context())


def test_the_hook_is_told_and_the_process_stays(runtime: ProcessRuntime, app: HostedApp, home: Path) -> None:
    first = runtime.deploy(app.spec("1.0", env={"GREETING": "hello", "OLD": "1"}))
    spec = app.spec("1.0", env={"GREETING": "hunter2-hi", "MORE": "2"})
    state = runtime.reconfigure(spec)
    told = app.get()
    assert (told["greeting"], told["pid"]) == ("hunter2-hi", first.pid)
    assert told["hooks"] == [[{"GREETING": "hunter2-hi"}, {"MORE": "2"}, ["OLD"]]]
    assert (state.pid, state.digest, state.health) == (first.pid, str(digest(spec)), "healthy")
    assert runtime.current_state()["shop"] == state
    assert runtime.reconfigure(spec) == state
    assert len(app.get()["hooks"]) == 1
    assert not app.heard("upgrade.fallback")
    assert stat.S_IMODE((home / "apps" / "shop" / "env").stat().st_mode) == 0o600
    assert "hunter2" not in (home / "apps" / "shop" / "applied.json").read_text() + repr(app.told)


def test_after_a_crash_the_new_environment_is_there(runtime: ProcessRuntime, app: HostedApp) -> None:
    first = runtime.deploy(app.spec("1.0", env={"GREETING": "hello"}))
    spec = app.spec("1.0", env={"GREETING": "hi"})
    runtime.reconfigure(spec)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: runtime.current_state()["shop"].pid not in (None, first.pid))
    wait_for(lambda: answers(app.port))
    assert app.get()["greeting"] == "hi"
    assert runtime.current_state()["shop"].digest == str(digest(spec))


def test_without_a_hook_the_signal_is_sent(runtime: ProcessRuntime, app: HostedApp) -> None:
    handler = "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: state.events.append(os.environ['GREETING']))\n"
    app.files["1.0"] = shop("1.0", shop__web=ASGI + handler)
    run = Run(app=TARGET, reload_signal="SIGUSR1")
    first = runtime.deploy(app.spec("1.0", run=run, env={"GREETING": "hello"}))
    state = runtime.reconfigure(app.spec("1.0", run=run, env={"GREETING": "hi"}))
    assert app.get()["events"][-1] == "hi"
    assert (state.pid, runtime.current_state()["shop"]) == (first.pid, state)


def test_without_either_it_is_restarted_quietly(runtime: ProcessRuntime, app: HostedApp) -> None:
    app.files["1.0"] = shop("1.0")
    first = runtime.deploy(app.spec("1.0", env={"GREETING": "hello"}))
    state = runtime.reconfigure(app.spec("1.0", env={"GREETING": "hi"}))
    assert app.get()["greeting"] == "hi"
    assert state.pid != first.pid
    assert not app.told


@pytest.mark.parametrize(
    ("hook", "env", "why"),
    [
        (HOOK + "    raise ValueError('bad ' + changed['GREETING'])\n", {"GREETING": "hunter2"}, "ValueError: bad ***"),
        (
            HOOK,
            {"GREETING": "hunter2", "PYTHONHASHSEED": "1"},
            "PYTHONHASHSEED is heeded at the start of a process only",
        ),
    ],
)
def test_a_hook_that_cannot_is_followed_by_a_restart_and_an_event(
    runtime: ProcessRuntime, app: HostedApp, hook: str, env: dict[str, str], why: str
) -> None:
    app.files["1.0"] = shop("1.0", shop__web=ASGI + hook)
    first = runtime.deploy(app.spec("1.0", env={"GREETING": "hello"}))
    state = runtime.reconfigure(app.spec("1.0", env=env))
    assert app.get()["greeting"] == "hunter2"
    assert state.pid != first.pid
    (event,) = app.heard("upgrade.fallback")
    assert event["why"].startswith(why)
    assert (event["strategy"], event["by"]) == ("config_change", "restart")


def test_a_hook_that_cannot_is_followed_by_what_the_strategy_falls_back_to(
    runtime: ProcessRuntime, app: HostedApp
) -> None:
    app.files["1.0"] = shop("1.0", shop__web=ASGI + HOOK + "    raise ValueError('no')\n")
    first = runtime.deploy(app.spec("1.0", expose=Expose(app.port), env={"GREETING": "hello"}))
    state = runtime.reconfigure(app.spec("1.0", expose=Expose(app.port), env={"GREETING": "hi"}))
    assert (app.get()["greeting"], state.pid == first.pid) == ("hi", False)
    (event,) = app.heard("upgrade.fallback")
    assert (event["strategy"], event["by"]) == ("config_change", "blue_green")
    assert state.message.startswith("upgraded beside itself, since it could not be reconfigured as it ran: ValueError")
    assert [process.pid for process in strays.find(app.home, "shop")] == [state.pid]


def test_new_code_and_environment_come_together(runtime: ProcessRuntime, app: HostedApp) -> None:
    app.files["1.1"] = shop("1.1", shop__web=ASGI + HOOK)
    first = runtime.deploy(app.spec("1.0", env={"GREETING": "hello"}))
    state = runtime.upgrade(app.spec("1.1", env={"GREETING": "hi"}), "1.0")
    told = app.get()
    assert (told["version"], told["greeting"], told["pid"], state.pid) == ("1.1", "hi", first.pid, first.pid)
    assert told["hooks"] == [["1.0", "1.1"], [{"GREETING": "hi"}, {}, []]]


KILLED_AT = ["ask suspend", "put_env", "put starting", "ask reconfigure", "ask resume"]
_DIE = """
    import os, signal, sys
    sys.path[:0] = [{root!r}, {support!r}]
    import json
    from pathlib import Path
    from hosting import HostedApp, shop
    from runtimes.applied import AppliedStore
    from runtimes.host_client import HostClient
    from runtimes.process import ProcessRuntime

    what, _, which = {at!r}.partition(" ")
    owner = HostClient if what == "ask" else AppliedStore
    real = getattr(owner, what)

    def wrapped(*arguments, **options):
        hit = what == "put_env" or getattr(arguments[1], "phase", arguments[1]) == which
        result = real(*arguments, **options) if {after} or not hit else None
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, what, wrapped)
    app = HostedApp(Path({home!r}), {port}, files=json.loads({files!r}))
    ProcessRuntime(app.context()).reconfigure(app.spec("1.0", env={{"GREETING": "hi"}}))
"""


@pytest.mark.parametrize(
    ("at", "after"), [(KILLED_AT[0], False), *((at, True) for at in KILLED_AT)], ids=["before", *KILLED_AT]
)
def test_killed_at_any_line_the_next_call_ends_with_the_new_environment(
    runtime: ProcessRuntime, app: HostedApp, at: str, after: bool
) -> None:
    root = Path(__file__).parents[2]
    specs = {greeting: app.spec("1.0", env={"GREETING": greeting}) for greeting in ("hello", "hi")}
    runtime.deploy(specs["hello"])
    code = textwrap.dedent(_DIE).format(
        root=str(root), support=str(root / "tests" / "support"), at=at, after=after, home=str(app.home),
        port=app.port, files=json.dumps(app.files),
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    told = app.get()
    assert runtime.current_state()["shop"].digest == str(digest(specs[told["greeting"]]))
    state = runtime.reconfigure(specs["hi"])
    assert (app.get()["greeting"], state.digest, state.status) == ("hi", str(digest(specs["hi"])), "running")
    assert [process.pid for process in strays.find(app.home)] == [told["pid"]] == [state.pid]
