"""Apps as real processes under a real supervisor."""

from __future__ import annotations

import json
import os
import signal
import stat
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from waiting import is_running, wait_for

from celeriac.errors import CeleriacError
from celeriac.process import CommandCancelledError
from runtimes import strays
from runtimes.base import RuntimeContext, RuntimeFailure, Superseded
from runtimes.process import ProcessRuntime
from runtimes.releases import read_current, replaced
from runtimes.supervisor_rpc import ProcessInfo
from runtimes.supervisord import Supervisor
from sources.failure import VersionMissing
from specs.digest import digest
from specs.model import AppSpec, Health, Run


def web(port: int, **more: Any) -> AppSpec:
    health = Health(port=port, path="/", timeout=2.0, grace=20.0)
    spec = AppSpec("web", "1.0.0", run=Run({"main": ("python", "../current/web.py")}), health=health)
    return replace(spec, **more)


def answer(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
        return dict(json.load(response))


def test_a_deployed_app_runs_with_its_env_and_stamp(runtime: ProcessRuntime, home: Path, port: int) -> None:
    spec = web(port, env={"GREETING": "50 %\nnaïve"})
    state = runtime.deploy(spec)
    assert (state.status, state.health, state.version, state.digest) == (
        "running",
        "healthy",
        "1.0.0",
        str(digest(spec)),
    )
    told = answer(port)
    assert told["pid"] == state.pid
    assert told["env"]["GREETING"] == "50 %\nnaïve"
    assert told["env"]["CELERIAC_DIGEST"] == str(digest(spec))
    assert stat.S_IMODE((home / "apps" / "web" / "env").stat().st_mode) == 0o600
    secretive = [*(home / "supervisor").rglob("*.conf"), home / "apps" / "web" / "applied.json"]
    assert not any("naïve" in path.read_text() for path in secretive if path.exists())


def test_deploying_again_restarts_nothing(runtime: ProcessRuntime, context: RuntimeContext, port: int) -> None:
    first = runtime.deploy(web(port))
    assert runtime.deploy(web(port)).pid == first.pid
    assert ProcessRuntime(context).current_state()["web"].pid == first.pid


@pytest.mark.parametrize("ended", ["EXITED", "BACKOFF"])
def test_what_the_supervisor_is_starting_again_is_not_started_beside_it(
    context: RuntimeContext, home: Path, port: int, ended: str
) -> None:
    supervisor, phases = Supervisor(home), list[str]()
    runtime = ProcessRuntime(replace(context, report=phases.append))

    def main() -> ProcessInfo:
        return supervisor.group("web", ["main"])["main"]

    first = runtime.deploy(web(port))
    assert first.pid is not None
    if ended == "EXITED":  # once it counts as started, an end is followed by a start at once; else by one after a while
        wait_for(lambda: main().state == "RUNNING")
    os.kill(first.pid, signal.SIGKILL)
    if ended == "BACKOFF":
        wait_for(lambda: main().state == "BACKOFF")
    phases.clear()
    state = runtime.deploy(web(port))
    assert phases == ["probing"]
    assert (state.status, state.health) == ("running", "healthy")
    assert state.pid not in (None, first.pid)


def test_upgrade_and_reconfigure_replace_the_process(runtime: ProcessRuntime, home: Path, port: int) -> None:
    first = runtime.deploy(web(port))
    second = runtime.upgrade(web(port, version="1.1.0"), "1.0.0")
    assert answer(port)["version"] == "1.1.0"
    assert second.pid != first.pid
    assert first.pid is not None
    assert not is_running(first.pid)
    assert str(read_current(home / "apps" / "web")).rpartition("/")[2].startswith("1.1.0-")
    third = runtime.reconfigure(web(port, version="1.1.0", env={"GREETING": "hi"}))
    assert answer(port)["env"]["GREETING"] == "hi"
    assert third.pid != second.pid


def test_an_app_that_crashes_on_start_fails_with_its_last_lines(runtime: ProcessRuntime) -> None:
    spec = AppSpec("crash", "1.0.0", run=Run({"main": ("python", "../current/crash.py")}))
    with pytest.raises(RuntimeFailure) as caught:
        runtime.deploy(spec)
    assert caught.value.step == "start"
    assert "no such table: users" in caught.value.output
    wait_for(lambda: runtime.current_state()["crash"].status == "failed")
    assert "no such table: users" in runtime.current_state()["crash"].message


def test_a_new_version_that_is_ill_can_be_rolled_back(runtime: ProcessRuntime, port: int) -> None:
    good = web(port)
    runtime.deploy(good)
    ill = web(
        port,
        version="2.0.0",
        health=Health(port=port, path="/", timeout=1.0, grace=1.0),
        run=Run({"main": ("python", "../current/sleep.py")}),
    )
    with pytest.raises(RuntimeFailure) as caught:
        runtime.upgrade(ill, "1.0.0")
    assert caught.value.step == "health"
    assert runtime.upgrade(good, "2.0.0").version == "1.0.0"
    assert answer(port)["version"] == "1.0.0"


def test_what_an_app_failed_of_is_not_told_of_it_once_it_is_well(
    runtime: ProcessRuntime, home: Path, port: int
) -> None:
    (home / "apps" / "web" / "data").mkdir(parents=True)
    ill = home / "apps" / "web" / "data" / "ill"
    ill.touch()
    spec = web(port, health=Health(port=port, path="/", timeout=2.0, grace=1.0))
    with pytest.raises(RuntimeFailure):
        runtime.deploy(spec)
    failed = runtime.current_state()["web"]
    ill.unlink()
    state = runtime.deploy(spec)
    assert (state.pid, state.status, state.health, state.message) == (failed.pid, "running", "healthy", "")


def test_a_removed_app_leaves_no_process_and_may_be_removed_twice(
    runtime: ProcessRuntime, home: Path, port: int
) -> None:
    runtime.deploy(web(port))
    for _ in range(2):
        runtime.remove("web")
        assert runtime.current_state() == {}
        assert not strays.find(home)
    assert (home / "apps" / "web" / "data").is_dir()


def test_a_killed_supervisor_leaves_one_copy_of_each_app(runtime: ProcessRuntime, home: Path, port: int) -> None:
    first = runtime.deploy(web(port))
    supervisor = Supervisor(home)
    daemon = int(supervisor.pid_file.read_text())
    os.kill(daemon, signal.SIGKILL)
    wait_for(lambda: not is_running(daemon))
    runtime.revive()
    assert first.pid is not None
    assert not is_running(first.pid)
    wait_for(lambda: runtime.current_state()["web"].pid is not None)
    again = runtime.deploy(web(port))
    assert [process.pid for process in strays.find(home)] == [again.pid]


@pytest.mark.parametrize("phase", ["building", "starting", "probing"])
def test_a_supervisor_that_dies_in_an_upgrade_is_no_failure_of_the_new_version(
    runtime: ProcessRuntime, context: RuntimeContext, home: Path, port: int, phase: str
) -> None:
    runtime.deploy(web(port))
    killed: list[int] = []

    def report(now: str) -> None:
        if now == phase and not killed:
            killed.append(int(Supervisor(home).pid_file.read_text()))
            os.kill(killed[0], signal.SIGKILL)
            wait_for(lambda: not is_running(killed[0]))

    state = ProcessRuntime(replace(context, report=report)).upgrade(web(port, version="1.1.0"), "1.0.0")
    assert killed
    assert (state.version, state.health, answer(port)["version"]) == ("1.1.0", "healthy", "1.1.0")
    assert answer(port)["pid"] == state.pid
    assert len(strays.find(home, "web")) == 1


def test_a_port_that_somebody_else_holds_is_named_before_anything_starts(
    runtime: ProcessRuntime, home: Path, port: int, new_port: Callable[[], int]
) -> None:
    runtime.deploy(web(port))
    other = replace(web(port), name="other")
    with pytest.raises(RuntimeFailure, match=f"port {port} is already in use") as caught:
        runtime.deploy(other)
    assert caught.value.reason == "PortTaken"
    assert answer(port)["env"]["CELERIAC_APP"] == "web"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (VersionMissing("no version 9", output=["uv: not found"]), RuntimeFailure),
        (CommandCancelledError("uv was stopped"), Superseded),
    ],
)
def test_what_the_build_says_reaches_the_caller(
    home: Path, port: int, raised: CeleriacError, expected: type[CeleriacError]
) -> None:
    def build(spec: AppSpec) -> Path:
        raise raised

    runtime = ProcessRuntime(RuntimeContext(home=home, node="node-1", build=build))
    with pytest.raises(expected) as caught:
        runtime.deploy(web(port))
    assert caught.value.__cause__ is raised
    if isinstance(caught.value, RuntimeFailure):
        assert caught.value.output == ("uv: not found",)
        assert (caught.value.step, caught.value.reason) == ("build", "VersionMissing")


def test_a_damaged_release_is_put_back_when_it_cannot_be_built_anew(tmp_path: Path) -> None:
    release = tmp_path / "1.0.0-abcd"
    (release / "venv").mkdir(parents=True)
    (tmp_path / ".1.0.0-abcd.damaged" / "venv").mkdir(parents=True)  # of one that was killed here before
    with pytest.raises(VersionMissing), replaced(release):
        raise VersionMissing("gone")
    assert list(tmp_path.iterdir()) == [release]
    with replaced(release):
        (release / "new").mkdir(parents=True)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["1.0.0-abcd", "1.0.0-abcd/new"]
