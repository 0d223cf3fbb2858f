"""A worker, or one process of its pool, dies at work: the run goes on to its end, and nothing is done twice."""

from __future__ import annotations

import os
import signal

import pytest
from gates import Gates
from installation import Installation
from waiting import wait_for

pytestmark = pytest.mark.e2e

victims = pytest.mark.parametrize("victim", ["worker", "child"])


def end(here: Installation, victim: str, task: str) -> None:
    """Kill the worker, or only the process of its pool that is at a step of `task`."""
    if victim == "worker":
        here.kill("worker")
    else:
        os.kill(pid_at(here, task), signal.SIGKILL)


def pid_at(here: Installation, task: str) -> int:
    """The process that is at a step of `task`."""
    run = here.engine.runs.current()
    assert run is not None
    owner = next(r.owner for r in here.engine.runs.steps(run.id) if r.step.task == task and r.state == "running")
    pid = int(owner.split(":")[1])
    assert pid in here.pool_children()
    return pid


def check(here: Installation, versions: dict[str, str], task: str = "deploy") -> None:
    """Wait for quiet; every app is at its version, was brought there once, and all that is known agrees."""
    if "worker" not in here.processes:
        here.start_worker()
    here.settle()
    live = here.engine.runtime.current_state()
    assert {name: state.version for name, state in live.items()} == versions
    assert here.engine.live.node(here.node) == live
    status = here.status()
    assert status["status"] == "synced", status
    ends = [event for event in here.engine.events.last(10_000) if event.name == f"{task}.stop"]
    assert sorted(event.app for event in ends) == sorted(versions)
    assert {event.result for event in ends} == {"ok"}
    newest = {name: here.engine.history.of(name)[0] for name in versions}
    assert {(change.action, change.result) for change in newest.values()} == {(task, "ok")}


@victims
@pytest.mark.parametrize(("word", "task"), [("ls-remote", "pull"), ("ls-tree", "parse")])
def test_a_run_goes_on_when_its_planning_loses_the_worker(
    gated: Installation, gates: Gates, victim: str, word: str, task: str
) -> None:
    gated.app("db")
    gated.app("web", needs=("db",))
    gated.commit()
    gates.close(word)
    gated.start()
    gates.wait_until_reached(word)
    end(gated, victim, task)
    gates.open(word)
    check(gated, {"db": "1.0.0", "web": "1.0.0"})


@victims
def test_a_shared_out_parse_goes_on_when_it_loses_the_worker(gated: Installation, gates: Gates, victim: str) -> None:
    gated.app("web")
    idle = [f"idle{number}" for number in range(260)]
    for name in idle:
        gated.write(name, f'name: {name}\nversion: "1"\nsuspend: true\n')
    gated.commit()
    gates.close("--batch")
    gated.start()
    gates.wait_until_reached("--batch")
    run = gated.engine.runs.current()
    assert run is not None
    assert {"parse#0", "parse#1"} <= {record.step.id for record in gated.engine.runs.steps(run.id)}
    end(gated, victim, "parse")
    gates.open("--batch")
    check(gated, {"web": "1.0.0"})
    assert set(gated.engine.desired.digests()) == {"web", *idle}


@victims
@pytest.mark.parametrize("phase", ["build", "health"])
def test_a_deploy_that_loses_the_worker_is_done_again_and_brings_up_no_second_copy(
    gated: Installation, gates: Gates, victim: str, phase: str
) -> None:
    gated.app("db")
    gated.app("web", needs=("db",))
    gated.commit()
    gates.close(f"db.{phase}")
    gated.start()
    gates.wait_until_reached(f"db.{phase}")
    before = gated.live("db")
    assert (before is not None) == (phase == "health")
    end(gated, victim, "deploy")
    gates.open(f"db.{phase}")
    check(gated, {"db": "1.0.0", "web": "1.0.0"})
    assert before is None or gated.live("db").started_at == before.started_at


@pytest.mark.parametrize(("victim", "phase"), [("child", "build"), ("worker", "health")])
def test_an_upgrade_that_loses_the_worker_ends_at_the_new_version(
    gated: Installation, gates: Gates, victim: str, phase: str
) -> None:
    gated.app("web")
    gated.commit()
    gated.start()
    gated.settle()
    gated.app("web", "2.0.0")
    gated.commit()
    gates.close(f"web.{phase}")
    gated.ask()
    gates.wait_until_reached(f"web.{phase}")
    end(gated, victim, "upgrade")
    gates.open(f"web.{phase}")
    check(gated, {"web": "2.0.0"}, "upgrade")


def test_a_worker_told_to_stop_finishes_its_step_and_another_goes_on(gated: Installation, gates: Gates) -> None:
    gated.app("db")
    gated.app("web", needs=("db",))
    gated.commit()
    gates.close("db.build")
    gated.start()
    gates.wait_until_reached("db.build")
    os.kill(gated.processes["worker"].pid, signal.SIGTERM)
    wait_for(lambda: "Stopping when" in gated.log("worker"))
    gates.open("db.build")
    gated.processes.pop("worker").wait()
    check(gated, {"db": "1.0.0", "web": "1.0.0"})
    begun = [event.app for event in gated.engine.events.last(1000) if event.name == "deploy.start"]
    assert begun == ["db", "web"]


def test_a_worker_told_to_stop_twice_gives_its_step_to_another(gated: Installation, gates: Gates) -> None:
    gated.app("db")
    gated.app("web", needs=("db",))
    gated.commit()
    gates.close("db.build")
    gated.start()
    gates.wait_until_reached("db.build")
    os.kill(gated.processes["worker"].pid, signal.SIGTERM)
    wait_for(lambda: "Stopping when" in gated.log("worker"))
    gated.kill("worker", signal.SIGTERM)
    gates.open("db.build")
    check(gated, {"db": "1.0.0", "web": "1.0.0"})
