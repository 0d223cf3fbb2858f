"""Apps that an older Celeriac left running are taken over as they run, whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from waiting import wait_for

from runtimes import strays
from runtimes.applied import AppliedStore
from runtimes.base import RuntimeContext
from runtimes.older_homes import take_over
from runtimes.process import ProcessRuntime
from specs.appstate import AppState
from specs.model import AppSpec, Health, Run

NEW_FIELDS = ("side", "expose", "port_lock", "app")


@pytest.fixture
def spec(port: int) -> AppSpec:
    health = Health(port=port, path="/", timeout=2.0, grace=20.0)
    return AppSpec("web", "1.0.0", run=Run({"main": ("python", "../current/web.py")}), health=health, env={"A": "b"})


@pytest.fixture
def state(runtime: ProcessRuntime, home: Path, spec: AppSpec) -> AppState:
    """The app as it was deployed, with the folders and the supervisor file of an older Celeriac."""
    runtime.deploy(spec)
    supervisor = runtime.supervisor
    supervisor.stop("web")
    text = (home / "supervisor" / "conf.d" / "web.conf").read_text()
    old = text.replace(" main blue\n", " main\n").replace(',CELERIAC_SIDE="blue"', "").replace("web@blue.", "web.")
    assert len(text) - len(old) == len(' blue,CELERIAC_SIDE="blue"@blue')
    supervisor._load("web", "web", old)
    (home / "logs" / "web.main.log").unlink()
    supervisor.start("web", ["main"])
    state = runtime.deploy(spec)
    make_old(home, "web")
    return state


def make_old(home: Path, name: str) -> None:
    """Have the app in the layout of before."""
    folder, blue = home / "apps" / name, home / "apps" / name / "blue"
    manifest = json.loads((blue / "applied.json").read_bytes())
    for link in ("live", "applied.json", "env"):
        (folder / link).unlink()
    for moved in ("run", "env", "health.json"):
        (blue / moved).rename(folder / moved)
    old = {key: value for key, value in manifest.items() if key not in NEW_FIELDS}
    (folder / "applied.json").write_text(json.dumps({**old, "env_file": str(folder / "env")}))
    shutil.rmtree(blue)
    (home / "logs" / f"{name}@blue.main.log").unlink()


def test_an_app_of_before_is_observed_as_it_runs_and_not_restarted(
    state: AppState, context: RuntimeContext, home: Path, spec: AppSpec
) -> None:
    (home / "apps" / "web" / "run" / ".overruns").mkdir()
    runtime = ProcessRuntime(context)
    assert runtime.current_state() == {"web": state}
    assert runtime.deploy(spec) == state
    assert (home / "apps" / "web" / "env").stat().st_mode & 0o777 == 0o600
    assert (home / "apps" / "web" / "run" / ".overruns").is_dir()
    assert (home / "logs" / "web.main.log").resolve().name == "web@blue.main.log"
    assert take_over(home, AppliedStore(home)) == []


def test_it_comes_back_after_a_crash_and_can_be_upgraded_and_removed(
    state: AppState, context: RuntimeContext, home: Path, spec: AppSpec
) -> None:
    runtime = ProcessRuntime(context)
    assert state.pid is not None
    os.kill(state.pid, signal.SIGKILL)
    wait_for(lambda: runtime.current_state()["web"].pid not in (None, state.pid))
    after = runtime.reconfigure(AppSpec("web", "1.0.0", run=spec.run, health=spec.health, env={"A": "c"}))
    assert [process.pid for process in strays.find(home)] == [after.pid]
    runtime.remove("web")
    assert strays.find(home) == []
    assert sorted(path.name for path in (home / "apps" / "web").iterdir()) == ["data", "releases"]


def test_a_dead_supervisor_of_before_is_followed_by_one_that_knows_its_apps(
    state: AppState, context: RuntimeContext, home: Path
) -> None:
    os.kill(int((home / "supervisor" / "supervisord.pid").read_text()), signal.SIGKILL)
    runtime = ProcessRuntime(context)
    runtime.revive()
    wait_for(lambda: runtime.current_state()["web"].status == "running")
    wait_for(lambda: len(strays.find(home, "web")) == 1)


_DIE = """
    import json, os, shutil, signal, sys
    sys.path.insert(0, {root!r})
    from pathlib import Path
    from runtimes.applied import AppliedStore
    from runtimes.older_homes import take_over

    home, kept = Path({home!r}), Path({kept!r})

    def watch(frame, event, argument):
        global left
        if frame.f_code.co_filename.endswith(("older_homes.py", "applied.py", "files.py")):
            if event == "line" and frame.f_code.co_name in {{"_take_over", "_move", "put", "go_live", "link_atomic"}}:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return watch

    def found():
        paths = [path for path in sorted(home.rglob("*")) if not {{"releases", "locks"}} & {{*path.parts}}]
        paths = [path for path in paths if path.suffix != ".tmp"]
        return {{str(path.relative_to(home)): path.read_text() if path.is_file() else "" for path in paths}}

    line, killed = 0, True
    while killed:
        shutil.rmtree(home)
        shutil.copytree(kept, home, symlinks=True)
        if not (child := os.fork()):
            left = line
            sys.settrace(watch)
            take_over(home, AppliedStore(home))
            os._exit(0)
        killed = os.waitpid(child, 0)[1] == signal.SIGKILL
        take_over(home, AppliedStore(home))
        print(json.dumps(found()))
        line += 1
"""


def test_killed_at_any_line_the_next_one_ends_it(state: AppState, home: Path, tmp_path: Path) -> None:
    for part in ("apps", "logs"):
        shutil.copytree(home / part, tmp_path / "kept" / part, symlinks=True)
    root, copy = Path(__file__).parents[2], tmp_path / "copy"
    copy.mkdir()
    code = textwrap.dedent(_DIE).format(root=str(root), home=str(copy), kept=str(tmp_path / "kept"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    *killed, whole = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(killed) > 30
    assert {json.dumps(found) for found in killed} == {json.dumps(whole)}
    assert json.loads(whole["apps/web/applied.json"])["digest"] == state.digest


def test_a_manifest_that_newer_ones_followed_is_not_taken_for_an_old_one(
    state: AppState, context: RuntimeContext, home: Path, spec: AppSpec
) -> None:
    old = (home / "apps" / "web" / "applied.json").read_bytes()
    runtime = ProcessRuntime(context)
    newer = runtime.upgrade(AppSpec("web", "2.0.0", run=spec.run, health=spec.health), "1.0.0")
    (home / "apps" / "web" / "applied.json").unlink()
    (home / "apps" / "web" / "applied.json").write_bytes(old)  # as if killed before that link was made
    assert ProcessRuntime(context).current_state() == {"web": newer}
    assert (home / "apps" / "web" / "applied.json").is_symlink()


def test_a_manifest_that_cannot_be_read_is_left_for_the_next_deploy(
    state: AppState, context: RuntimeContext, home: Path, spec: AppSpec
) -> None:
    (home / "apps" / "web" / "applied.json").write_text("{")
    runtime = ProcessRuntime(context)
    assert runtime.current_state() == {}
    after = runtime.deploy(spec)
    assert [process.pid for process in strays.find(home)] == [after.pid]
