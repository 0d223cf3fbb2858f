"""Apps over their memory limit, as real processes: by what this machine has, and without control groups."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import is_running, wait_for

from runtimes import cgroups, strays
from runtimes.base import RuntimeContext, RuntimeFailure
from runtimes.limits import counter, place
from runtimes.memory_watch import own_share, tree, usages
from runtimes.overruns import Overrun
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor
from specs.appstate import AppState
from specs.model import AppSpec, Health, Limits, Run

MB = 10**6
LIMIT = 64 * MB
HERE = place("memory", cgroups.groups_of()).mechanism
"""What holds memory on this machine: the tests of the mechanism `auto` are tests of this one."""

# Grows until it is killed, by 4 MB at a time, when a file says so: itself, or a child while it waits.
GROW = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def grow():
    kept = []
    while True:
        kept.append(b"x" * 4_000_000)
        time.sleep(0.01)
if "at-once" in sys.argv:
    grow()
while "busy" in sys.argv:
    pass
while True:
    if os.path.exists("grow"):
        os.unlink("grow")
        grow()
    if os.path.exists("fork"):
        os.unlink("fork")
        if os.fork() == 0:
            grow()
    time.sleep(0.02)
"""

SHARE = """
import os, time
kept = bytearray(os.urandom(1_000_000) * 30)
for _ in range(4):
    if os.fork() == 0:
        break
time.sleep(0.1)
open(f"pid-{os.getpid()}", "w").close()
while True: time.sleep(60)
"""


@pytest.fixture(params=["auto", "off"])
def limited(request: pytest.FixtureRequest, home: Path, release_of: Callable[[Path, AppSpec], Path]) -> ProcessRuntime:
    """A runtime that holds apps to their limits by what this machine has, or without control groups."""
    return runtime_of(home, release_of, cgroups=request.param == "auto")


@pytest.fixture
def without_cgroups(home: Path, release_of: Callable[[Path, AppSpec], Path]) -> ProcessRuntime:
    return runtime_of(home, release_of, cgroups=False)


@pytest.fixture(autouse=True)
def _no_group_is_left(home: Path) -> Iterator[None]:
    yield
    Supervisor(home).shutdown()
    strays.end(strays.find(home), grace=0)
    assert groups(home) == []


def runtime_of(home: Path, release_of: Callable[[Path, AppSpec], Path], *, cgroups: bool) -> ProcessRuntime:
    def build(spec: AppSpec) -> Path:
        release = release_of(home, spec)
        (release / "grow.py").write_text(GROW)
        (release / "share.py").write_text(SHARE)
        return release

    return ProcessRuntime(RuntimeContext(home=home, node="node-1", build=build, cgroups=cgroups))


def app(name: str = "greedy", script: str = "grow.py", *more: str, **limits: float) -> AppSpec:
    wanted = Limits(memory=int(limits.get("memory", LIMIT)), cpus=limits.get("cpus", 0.0))
    return AppSpec(
        name,
        "1.0.0",
        run=Run({"main": ("python", f"../current/{script}", *more)}),
        health=Health(type="custom", command=("true",), grace=20.0),
        limits=wanted,
    )


def groups(home: Path) -> list[str]:
    return [found.path for found in cgroups.present(str(home), strays.home_id(home))]


def look_until_killed(runtime: ProcessRuntime) -> list[Overrun]:
    """What is told of `greedy`, by looks at the node as `observe` makes them."""
    told: list[Overrun] = []

    def killed() -> bool:
        for name, those in runtime.watch_limits().items():
            assert name == "greedy"
            for overrun in those:
                told.append(overrun)
                runtime.overrun_told(name, overrun)
        return bool(told)

    wait_for(killed)
    return told


def running_again(runtime: ProcessRuntime, old: AppState) -> AppState:
    def again() -> bool:
        state = runtime.current_state()["greedy"]
        return state.status == "running" and state.pid not in (None, old.pid) and state.limits != {}

    wait_for(again)
    return runtime.current_state()["greedy"]


@pytest.mark.parametrize("how", ["grow", "fork"])
def test_an_app_over_its_memory_limit_is_killed_alone_restarted_and_reported(
    limited: ProcessRuntime, home: Path, how: str
) -> None:
    neighbour = limited.deploy(app("modest"))
    before = limited.deploy(app())
    mechanism = before.limits["memory"]
    assert before.reason == ""
    (home / "apps" / "greedy" / "data" / how).touch()
    told = look_until_killed(limited)
    running_again(limited, before)
    assert limited.check(app()).ok
    after = limited.current_state()["greedy"]
    assert (after.reason, after.status, after.health) == ("OutOfMemory", "running", "healthy")
    assert after.message == f"killed: over its memory limit of 64MB ({mechanism}), restarted"
    assert [(one.process, one.limit, one.by) for one in told] == [("main", LIMIT, mechanism)]
    assert limited.watch_limits() == {}, "told once"
    assert limited.current_state()["modest"] == neighbour, "left alone"
    assert before.pid is not None
    assert not is_running(before.pid)
    assert [process.pid for process in strays.find(home, "greedy")] == [after.pid], "nothing of the old one is left"


def test_what_holds_an_app_shows_in_its_state(limited: ProcessRuntime) -> None:
    state = limited.deploy(app(cpus=0.5))
    if limited.context.cgroups:
        assert state.limits == {"memory": HERE, "cpus": place("cpu", cgroups.groups_of()).mechanism}
    else:
        assert state.limits == {"memory": "rlimit", "cpus": "affinity"}
    assert limited.deploy(app("free", memory=0)).limits == {}
    limited.stop("greedy")
    assert limited.current_state()["greedy"].limits == {}


def test_a_message_is_gone_with_the_next_start_that_somebody_asked_for(limited: ProcessRuntime, home: Path) -> None:
    before = limited.deploy(app())
    (home / "apps" / "greedy" / "data" / "grow").touch()
    look_until_killed(limited)
    running_again(limited, before)
    assert limited.upgrade(app(memory=2 * LIMIT), "1.0.0").reason == ""


def test_an_app_that_needs_more_than_it_may_from_the_start_fails_saying_so(
    limited: ProcessRuntime, home: Path, release_of: Callable[[Path, AppSpec], Path]
) -> None:
    spec = replace(app("greedy", "grow.py", "at-once"), health=None)
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        looks = pool.submit(_look_on, runtime_of(home, release_of, cgroups=True), ended)
        try:
            with pytest.raises(RuntimeFailure) as caught:
                limited.deploy(spec)
        finally:
            ended.set()
        looks.result()
    assert caught.value.reason == "OutOfMemory"
    assert "main killed: over its memory limit of 64MB" in caught.value.message
    assert "celeriac: main was killed: over its memory limit of 64MB" in "\n".join(caught.value.output)


def _look_on(runtime: ProcessRuntime, ended: threading.Event) -> None:
    while not ended.wait(0.02):
        runtime.watch_limits()


def test_forked_workers_that_share_their_memory_do_not_add_up(without_cgroups: ProcessRuntime, home: Path) -> None:
    state = without_cgroups.deploy(app("greedy", "share.py"))
    assert state.pid is not None
    data = home / "apps" / "greedy" / "data"
    wait_for(lambda: len(list(data.glob("pid-*"))) == 5)
    table = usages()
    pids = tree(state.pid, table)
    assert sum(table[pid].resident for pid in pids) > LIMIT > sum(own_share(pid, 0) for pid in pids)
    assert without_cgroups.watch_limits() == {}
    assert without_cgroups.current_state()["greedy"].pid == state.pid


def test_nothing_is_left_of_groups_after_stop_upgrade_and_removal(limited: ProcessRuntime, home: Path) -> None:
    expected = sum("cgroup" in by for by in set(limited.deploy(app()).limits.values()))
    for change in (lambda: limited.restart("greedy"), lambda: limited.upgrade(app(memory=2 * LIMIT), "1.0.0")):
        change()
        assert len(groups(home)) == expected
    limited.stop("greedy")
    assert groups(home) == []
    limited.deploy(app())
    limited.remove("greedy")
    assert groups(home) == []


def test_a_killed_supervisor_leaves_no_group_behind(limited: ProcessRuntime, home: Path) -> None:
    before = limited.deploy(app())
    expected = len(groups(home))
    daemon = int(Supervisor(home).pid_file.read_text())
    os.kill(daemon, signal.SIGKILL)
    wait_for(lambda: not is_running(daemon))
    limited.revive()
    running_again(limited, before)
    assert len(groups(home)) == expected
    assert before.pid is not None
    assert not is_running(before.pid)


@pytest.mark.skipif(place("cpu", cgroups.groups_of()).group is None, reason="no cpu controller for us here")
def test_a_fraction_of_a_cpu_is_held_by_its_control_group(
    home: Path, release_of: Callable[[Path, AppSpec], Path]
) -> None:
    runtime = runtime_of(home, release_of, cgroups=True)
    runtime.deploy(app("greedy", "grow.py", "busy", memory=0, cpus=0.25))
    [path] = groups(home)
    wait_for(lambda: counter(Path(path, "cpu.stat").read_text(), "nr_throttled") > 0)
    texts = {
        name: Path(path, name).read_text() for name in ("cpu.max", "cpu.cfs_quota_us") if Path(path, name).exists()
    }
    assert texts in ({"cpu.max": "25000 100000\n"}, {"cpu.cfs_quota_us": "25000\n"})


def test_cpus_without_control_groups_are_an_affinity(without_cgroups: ProcessRuntime) -> None:
    state = without_cgroups.deploy(app(memory=0, cpus=0.25))
    assert state.pid is not None
    assert len(os.sched_getaffinity(state.pid)) == 1
