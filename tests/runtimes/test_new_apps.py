"""An app of which there is nothing yet: its supervisor is told of it while it is being built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import is_running

from runtimes.base import RuntimeContext, RuntimeFailure
from runtimes.files import locked
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor
from specs.model import AppSpec, Run

SLEEPER = AppSpec("sleeper", "1.0.0", run=Run({"main": ("python", "../current/sleep.py")}))


def fail(spec: AppSpec) -> Path:
    raise RuntimeFailure(spec.name, "build", "no such version")


def known(home: Path) -> bool:
    supervisor = Supervisor(home)
    return supervisor.has_conf("sleeper") or "sleeper" in supervisor.processes()


def test_nothing_is_left_of_it_when_it_cannot_be_built(runtime: ProcessRuntime, context: RuntimeContext) -> None:
    runtime.revive()
    with pytest.raises(RuntimeFailure, match="no such version"):
        ProcessRuntime(replace(context, build=fail)).deploy(SLEEPER)
    assert not known(context.home)
    assert runtime.deploy(SLEEPER).status == "running"


def test_what_a_worker_that_died_in_the_build_left_is_taken_over(runtime: ProcessRuntime, home: Path) -> None:
    runtime.revive()
    assert Supervisor(home).put_new("sleeper", ["main"])
    assert not Supervisor(home).put_new("sleeper", ["main"])
    assert runtime.deploy(SLEEPER).status == "running"


def test_what_a_worker_that_died_in_the_build_left_can_be_removed(runtime: ProcessRuntime, home: Path) -> None:
    runtime.revive()
    assert Supervisor(home).put_new("sleeper", ["main"])
    runtime.remove("sleeper")
    assert not known(home)


def test_what_a_worker_that_died_in_the_build_left_goes_by_itself_when_nobody_builds(
    runtime: ProcessRuntime, home: Path
) -> None:
    runtime.revive()
    assert Supervisor(home).put_new("sleeper", ["main"])
    (home / "locks").mkdir(exist_ok=True)
    with locked(home / "locks" / "sleeper", timeout=5):
        runtime.revive()
        assert known(home)
    runtime.revive()
    assert not known(home)


@pytest.mark.parametrize(
    "lose", [lambda home: None, lambda home: Supervisor(home).conf_folder.joinpath("sleeper.conf").unlink()]
)
def test_one_whose_manifest_was_lost_is_replaced_and_never_runs_twice(
    runtime: ProcessRuntime, context: RuntimeContext, home: Path, lose: Callable[[Path], None]
) -> None:
    first = runtime.deploy(SLEEPER)
    assert first.pid is not None
    (home / "apps" / "sleeper" / "blue" / "applied.json").unlink()
    lose(home)
    seen: list[bool] = []

    def build(spec: AppSpec) -> Path:
        seen.append(is_running(first.pid or 0))
        return context.build(spec)

    runtime.revive()
    second = ProcessRuntime(replace(context, build=build)).deploy(SLEEPER)
    assert seen == [True]
    assert second.pid != first.pid
    assert not is_running(first.pid)


def test_a_supervisor_that_died_during_the_build_is_told_again(
    runtime: ProcessRuntime, context: RuntimeContext, home: Path
) -> None:
    runtime.revive()

    def build(spec: AppSpec) -> Path:
        Supervisor(home).shutdown()
        Supervisor(home, apps=dict).ensure_running()
        return context.build(spec)

    assert ProcessRuntime(replace(context, build=build)).deploy(SLEEPER).status == "running"
