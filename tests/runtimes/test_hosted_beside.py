"""Hosted apps behind the front: where hot reload, blue_green, renaming and the death of supervisors meet."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hosting import ASGI, HostedApp, shop
from waiting import wait_for

from runtimes import strays
from runtimes.base import RuntimeFailure
from runtimes.blue_green import BlueGreen
from runtimes.process import ProcessRuntime
from runtimes.releases import read_current
from specs.digest import digest
from specs.model import AppSpec, Expose, Health, Limits

HOOK = "def config_change(changed, new, removed):\n    state.hooks.append([changed, new, removed])\n"


@pytest.fixture
def app(home: Path, port: int) -> HostedApp:
    return HostedApp(home, port)


@pytest.fixture
def runtime(app: HostedApp) -> ProcessRuntime:
    return ProcessRuntime(app.context())


def spec_of(app: HostedApp, version: str, **more: Any) -> AppSpec:
    return app.spec(version, **{"expose": Expose(app.port), **more})


def pids(app: HostedApp, name: str = "shop") -> list[int]:
    return [process.pid for process in strays.find(app.home, name)]


def with_dependency(app: HostedApp, spec: AppSpec) -> None:
    """Have the release of `spec` bring something more, so that it cannot be reloaded."""
    site = next((app.build(spec) / "venv" / "lib").glob("*/site-packages"))
    (site / "h11-2.0.dist-info").mkdir()


def test_what_cannot_be_reloaded_comes_beside_and_is_reloaded_reconfigured_and_restarted_there(
    runtime: ProcessRuntime, app: HostedApp
) -> None:
    first = runtime.deploy(spec_of(app, "1.0"))
    for version in ("1.1", "1.2"):
        with_dependency(app, spec_of(app, version))
    app.files["1.3"] = shop("1.3", shop__web=ASGI + HOOK)
    with_dependency(app, spec_of(app, "1.3"))
    second = runtime.upgrade(spec_of(app, "1.1"), "1.0")
    assert app.heard("upgrade.fallback")[0]["by"] == "blue_green"
    assert second.message.startswith("upgraded beside itself, since it could not be hot reloaded: its dependencies")
    assert pids(app) == [second.pid] != [first.pid]
    third = runtime.upgrade(spec_of(app, "1.2"), "1.1")
    fourth = runtime.upgrade(spec_of(app, "1.3"), "1.2")
    fifth = runtime.reconfigure(spec_of(app, "1.3", env={"GREETING": "hi"}))
    assert {third.pid, fourth.pid, fifth.pid} == {second.pid}
    assert (app.get()["version"], app.get()["greeting"], fifth.message) == ("1.3", "hi", "")
    assert len(app.heard("upgrade.fallback")) == 1
    after = runtime.restart("shop")
    assert (app.get()["version"], app.get()["greeting"]) == ("1.3", "hi")
    assert pids(app) == [after.pid]
    assert runtime.current_state()["shop"] == after
    runtime.stop("shop")
    assert pids(app) == []
    runtime.remove("shop")
    assert sorted(path.name for path in (app.home / "apps" / "shop").iterdir()) == ["data", "releases"]


def test_what_is_ill_reloaded_and_ill_beside_is_taken_back_in_the_process_that_there_was(
    runtime: ProcessRuntime, app: HostedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtimes.hot_reload.SETTLE_SECONDS", 0.3)
    first = runtime.deploy(spec_of(app, "1.0"))
    app.files["1.1"] = shop("1.1", shop__answers="def answer(more): raise ValueError('ill')\n")
    ill = spec_of(app, "1.1", health=Health(port=app.port, path="/", timeout=1.0, grace=1.0))
    with pytest.raises(RuntimeFailure):
        runtime.upgrade(ill, "1.0")
    assert pids(app) == [first.pid]
    assert runtime.current_state()["shop"].digest == str(digest(ill))  # it is what runs, and it is told so
    state = runtime.upgrade(spec_of(app, "1.0"), "1.1")
    assert (app.get()["version"], state.status, state.health) == ("1.0", "running", "healthy")
    assert pids(app) == [state.pid]


def test_a_renamed_app_that_was_reloaded_runs_what_was_reloaded(runtime: ProcessRuntime, app: HostedApp) -> None:
    runtime.deploy(spec_of(app, "1.0"))
    with_dependency(app, spec_of(app, "1.1"))
    with_dependency(app, spec_of(app, "1.2"))
    runtime.upgrade(spec_of(app, "1.1"), "1.0")
    runtime.upgrade(spec_of(app, "1.2"), "1.1")
    store = spec_of(app, "1.2", renamed_from="shop")
    store = AppSpec(
        "store", **{name: getattr(store, name) for name in ("version", "run", "health", "upgrade", "expose")}
    )
    state = runtime.adopt(store, "shop")
    assert (app.get()["version"], pids(app, "store"), pids(app)) == ("1.2", [state.pid], [])
    assert runtime.current_state() == {"store": state}
    group = [path.read_text().count("[group:") for path in (app.home / "supervisor" / "conf.d").glob("store.conf")]
    assert group == [1]


def test_a_supervisor_that_dies_while_a_hosted_release_drains_brings_back_what_is_in_force(
    runtime: ProcessRuntime, app: HostedApp
) -> None:
    runtime.deploy(spec_of(app, "1.0"))
    with_dependency(app, spec_of(app, "1.1"))
    with patch.object(BlueGreen, "_drain", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        runtime.upgrade(spec_of(app, "1.1"), "1.0")
    assert len(pids(app)) == 2
    assert runtime.current_state()["shop"].drift == "another release of it was left running beside it"
    os.kill(int(runtime.supervisor.pid_file.read_text()), signal.SIGKILL)
    other = ProcessRuntime(app.context())
    wait_for(lambda: not other.supervisor.running())
    other.revive()
    wait_for(lambda: len(pids(app)) == 1)
    assert app.get()["version"] == "1.1"
    state = other.deploy(spec_of(app, "1.1"))
    assert (state.drift, state.health, pids(app)) == ("", "healthy", [state.pid])
    assert read_current(app.home / "apps" / "shop") == app.build(spec_of(app, "1.1"))
    assert sorted(path.name for path in (app.home / "apps" / "shop").glob("[bg]*e*")) == ["green"]


def test_limits_hold_each_generation_and_are_told_of_the_one_in_force(runtime: ProcessRuntime, app: HostedApp) -> None:
    limits = Limits(memory=512 << 20, cpus=1)
    runtime.deploy(spec_of(app, "1.0", limits=limits))
    with_dependency(app, spec_of(app, "1.1"))
    state = runtime.upgrade(spec_of(app, "1.1", limits=limits), "1.0")
    assert set(state.limits) == {"memory", "cpus"}
    assert runtime.watch_limits() == {}
    again = runtime.upgrade(spec_of(app, "1.1", limits=Limits(memory=256 << 20)), "1.1")
    assert (set(again.limits), again.reason, pids(app)) == ({"memory"}, "", [again.pid])
