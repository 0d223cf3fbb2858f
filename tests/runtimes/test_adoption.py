"""A running app gets another name, under a real supervisor, whatever happens on the way."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from waiting import is_running

from runtimes import inheritance, logs, strays
from runtimes.applied import AppliedStore
from runtimes.base import RuntimeContext, RuntimeFailure
from runtimes.bringing import Bringer
from runtimes.process import ProcessRuntime
from runtimes.starting import Starter
from runtimes.supervisord import Supervisor
from specs.digest import digest
from specs.model import AppSpec, Health, Run, Source


def shop(port: int, **more: Any) -> AppSpec:
    health = Health(port=port, path="/", timeout=2.0, grace=20.0)
    run = Run({"main": ("python", "../current/web.py")})
    return replace(AppSpec("shop", "1.0.0", source=Source(package="shop"), run=run, health=health), **more)


def store(port: int, **more: Any) -> AppSpec:
    """The same app by its new name."""
    return shop(port, **{"name": "store", "renamed_from": "shop", **more})


def told(port: int) -> dict[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
        return dict(json.load(response)["env"])


@pytest.fixture
def built(home: Path, release_of: Callable[[Path, AppSpec], Path]) -> list[str]:
    """The names of apps whose releases had to be built."""
    return []


@pytest.fixture
def context(home: Path, built: list[str], release_of: Callable[[Path, AppSpec], Path]) -> RuntimeContext:
    def build(spec: AppSpec) -> Path:
        before = set((home / "apps").glob("*/releases/*"))
        release = release_of(home, spec)
        built.extend([spec.name] if release not in before else [])
        return release

    return RuntimeContext(home=home, node="node-1", build=build)


@pytest.fixture
def running(runtime: ProcessRuntime, home: Path, port: int) -> ProcessRuntime:
    """A runtime with an app that has something to lose."""
    runtime.deploy(shop(port))
    (home / "apps" / "shop" / "data" / "orders").write_text("3")
    return runtime


def test_an_adopted_app_keeps_its_port_data_and_release(
    running: ProcessRuntime, home: Path, port: int, built: list[str]
) -> None:
    old = running.current_state()["shop"]
    spec = store(port)
    state = running.adopt(spec, "shop")
    assert (state.name, state.status, state.health, state.digest) == ("store", "running", "healthy", str(digest(spec)))
    assert running.current_state() == {"store": state}
    assert told(port)["CELERIAC_APP"] == "store"
    assert (home / "apps" / "store" / "data" / "orders").read_text() == "3"
    assert built == ["shop"]
    assert old.pid is not None
    assert not is_running(old.pid)
    assert not (home / "supervisor" / "conf.d" / "shop.conf").exists()
    assert sorted(path.name for path in (home / "apps" / "shop").iterdir()) == ["releases"]
    assert Path(state.path).is_relative_to(home / "apps" / "store")


def test_adopting_again_changes_nothing(running: ProcessRuntime, context: RuntimeContext, port: int) -> None:
    state = running.adopt(store(port), "shop")
    assert running.adopt(store(port), "shop") == state
    assert ProcessRuntime(context).adopt(store(port), "shop") == state
    assert running.adopt(store(port), "store") == state


def test_an_upgrade_may_come_with_the_new_name_and_remembers_what_ran(
    running: ProcessRuntime, home: Path, port: int
) -> None:
    before = running.applied("shop")
    state = running.adopt(store(port, version="2.0.0"), "shop")
    assert told(port)["CELERIAC_VERSION"] == state.version == "2.0.0"
    after = running.applied("store")
    assert before is not None
    assert after is not None
    assert after.previous is not None
    assert (after.previous.version, after.previous.digest) == ("1.0.0", before.digest)
    assert Path(after.previous.release).is_relative_to(home / "apps" / "store")
    assert Path(after.previous.release).is_dir()


def test_when_the_new_name_fails_the_old_one_runs_again(running: ProcessRuntime, home: Path, port: int) -> None:
    (home / "apps" / "store" / "data").mkdir(parents=True)
    (home / "apps" / "store" / "data" / "older").write_text("of an app that was removed")
    bad = store(port, version="2.0.0", run=Run({"main": ("python", "../current/crash.py")}), env={"TOKEN": "hunter2"})
    with pytest.raises(RuntimeFailure) as caught:
        running.adopt(bad, "shop")
    assert (caught.value.app, caught.value.step) == ("store", "start")
    assert "no such table: users" in caught.value.output
    states = running.current_state()
    assert states.keys() == {"shop"}
    assert (states["shop"].status, states["shop"].health) == ("running", "healthy")
    assert told(port)["CELERIAC_APP"] == "shop"
    assert (home / "apps" / "shop" / "data" / "orders").read_text() == "3"
    assert (home / "apps" / "store" / "data" / "older").exists()
    assert not (home / "apps" / "store" / "env").exists()
    assert not strays.find(home, "store")
    assert running.adopt(store(port, version="2.0.1"), "shop").status == "running"
    assert (home / "apps" / "store" / "data.before-shop" / "older").exists()


def test_a_build_that_fails_touches_nothing(running: ProcessRuntime, home: Path, port: int) -> None:
    before = running.current_state()

    def build(spec: AppSpec) -> Path:
        raise RuntimeFailure(spec.name, "build", "no version of store satisfies ==2.0.0")

    other = ProcessRuntime(RuntimeContext(home=home, node="node-1", build=build))
    with pytest.raises(RuntimeFailure, match="no version of store"):
        other.adopt(store(port, version="2.0.0"), "shop")
    assert running.current_state() == before


def test_an_app_that_was_stopped_stays_so_when_its_heir_fails(running: ProcessRuntime, port: int) -> None:
    running.stop("shop")
    with pytest.raises(RuntimeFailure):
        running.adopt(store(port, run=Run({"main": ("python", "../current/crash.py")})), "shop")
    assert running.current_state()["shop"].status == "stopped"


def test_an_heir_that_is_deployed_already_keeps_its_own_data(
    running: ProcessRuntime, home: Path, new_port: Callable[[], int]
) -> None:
    spec = store(new_port())
    state = running.deploy(spec)
    (home / "apps" / "store" / "data" / "own").touch()
    assert running.adopt(spec, "shop") == state
    assert running.current_state() == {"store": state}
    assert (home / "apps" / "store" / "data" / "own").exists()
    assert (home / "apps" / "shop" / "data" / "orders").exists()


def test_data_are_never_written_over(running: ProcessRuntime, home: Path, port: int) -> None:
    for name in ("data", "data.before-shop"):
        (home / "apps" / "store" / name).mkdir(parents=True)
        (home / "apps" / "store" / name / "older").touch()
    before = running.current_state()
    with pytest.raises(RuntimeFailure, match=r"data\.before-shop is in the way") as caught:
        running.adopt(store(port), "shop")
    assert caught.value.reason == "DataInTheWay"
    assert running.current_state() == before


class Killed(BaseException):
    """What a `kill -9` leaves behind, without ending the test as well."""


def killed_after(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch, *, before: bool = False) -> None:
    real = getattr(owner, name)

    def die(*arguments: Any, **more: Any) -> None:
        if not before:
            real(*arguments, **more)
        raise Killed

    monkeypatch.setattr(owner, name, die)


MOMENTS: list[tuple[Any, str, bool]] = [
    (inheritance, "link_releases", False),
    (inheritance, "put_heir", False),
    (AppliedStore, "put", False),
    (Supervisor, "put", False),
    (Supervisor, "stop", False),
    (inheritance, "move_data", False),
    (logs, "point", False),
    (Starter, "wait", True),
    (Starter, "start", False),
    (Bringer, "forget", True),
    (Bringer, "forget", False),
]


@pytest.mark.parametrize(("owner", "name", "before"), MOMENTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_after_a_crash_at_any_line_it_is_finished_or_taken_back(
    running: ProcessRuntime,
    context: RuntimeContext,
    home: Path,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    before: bool,
) -> None:
    def adopt_and_die() -> None:
        with monkeypatch.context() as patched:
            killed_after(owner, name, patched, before=before)
            with pytest.raises(Killed):
                ProcessRuntime(context).adopt(store(port), "shop")
        if not running.supervisor.running():
            running.revive()

    adopt_and_die()
    state = ProcessRuntime(context).adopt(store(port), "shop")
    assert running.current_state() == {"store": state}
    assert told(port)["CELERIAC_APP"] == "store"
    assert (home / "apps" / "store" / "data" / "orders").read_text() == "3"

    back = shop(port, renamed_from="store")
    running.adopt(back, "store")
    adopt_and_die()
    if name in {"start", "forget"}:  # the new one was seen healthy: the old one would be an app of its own
        return
    state = ProcessRuntime(context).deploy(back)
    assert (state.status, state.health) == ("running", "healthy")
    assert told(port)["CELERIAC_APP"] == "shop"
    assert (home / "apps" / "shop" / "data" / "orders").read_text() == "3"
    assert not strays.find(home, "store")
