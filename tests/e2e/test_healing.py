"""What somebody does to an app on its machine is found, told and put right without a commit; unless it is suspended."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machine import Machine
from waiting import wait_for

from runtimes.supervisor_rpc import call
from runtimes.supervisord import Supervisor
from specs.appstate import AppState

pytestmark = pytest.mark.e2e


@pytest.fixture
def here() -> Iterator[Machine]:
    """A machine with one app that runs."""
    with Machine() as made:
        made.dying("1.0.0", mortal=False)
        made.web("dying", env={"GREETING": "hi"})
        made.deployed()
        yield made


def app_folder(here: Machine) -> Path:
    return here.home / "apps" / "dying"


def site_packages(here: Machine) -> Path:
    return next((app_folder(here) / "current").resolve().glob("venv/lib/python*/site-packages"))


def kill(here: Machine) -> None:
    os.kill(here.pid("dying"), signal.SIGKILL)


def stop_by_hand(here: Machine) -> None:
    call(Supervisor(here.home).socket, "supervisor.stopProcessGroup", "dying")


def take_from_the_supervisor(here: Machine) -> None:
    stop_by_hand(here)
    call(Supervisor(here.home).socket, "supervisor.removeProcessGroup", "dying")


def delete_the_link(here: Machine) -> None:
    (app_folder(here) / "current").unlink()


def edit_the_environment(here: Machine) -> None:
    env = app_folder(here) / "env"
    env.write_text(env.read_text().replace("hi", "bonjour"))


def delete_the_interpreter(here: Machine) -> None:
    (app_folder(here) / "current" / "venv" / "bin" / "python").unlink()


def delete_a_package(here: Machine) -> None:
    (site_packages(here) / "dying.py").unlink()


def delete_the_release(here: Machine) -> None:
    shutil.rmtree((app_folder(here) / "current").resolve())


HARM: dict[str, tuple[Callable[[Machine], None], str]] = {
    "killed": (kill, "a process ended by itself"),
    "stopped by hand": (stop_by_hand, "main was stopped by hand"),
    "taken from the supervisor": (take_from_the_supervisor, "main was taken from the supervisor"),
    "deleted link": (delete_the_link, "the link to its release was changed"),
    "edited environment": (edit_the_environment, "its environment file was changed"),
    "deleted interpreter": (delete_the_interpreter, "its virtual environment is gone"),
    "deleted package": (delete_a_package, "files of its release were changed or deleted"),
    "deleted release": (delete_the_release, "its virtual environment is gone"),
}


def drifts(here: Machine) -> list[str]:
    events = [event for event in here.engine.events.last(1000, "dying") if event.name == "health.check"]
    return [event.extra["drift"] for event in events if event.extra.get("drift")]


def is_whole(here: Machine) -> bool:
    state: AppState | None = here.live("dying")
    return state is not None and (state.status, state.health, state.drift) == ("running", "healthy", "")


def test_each_harm_is_told_and_put_right_without_a_commit(here: Machine) -> None:
    revision = here.status()["revision"]
    env = (app_folder(here) / "env").read_text()
    for harm, (do, told) in HARM.items():
        before = len(drifts(here))
        do(here)
        wait_for(lambda before=before, told=told: any(told in one for one in drifts(here)[before:]))  # type: ignore[misc]
        wait_for(lambda: is_whole(here) and here.is_synced())
        here.settle()
        assert (app_folder(here) / "current" / "venv" / "bin" / "python").exists(), harm
        assert (site_packages(here) / "dying.py").exists(), harm
        # What must be repaired often is waited with; here each is another harm.
        here.engine.outcomes.drop("dying", "n1")
    assert (app_folder(here) / "env").read_text() == env
    assert here.status()["revision"] == revision
    repairs = [change for change in here.engine.history.of("dying") if change.action == "repair"]
    assert {change.result for change in repairs} == {"ok"}
    whys = " ".join(change.why for change in repairs)
    for harm, (_, told) in HARM.items():
        assert harm == "killed" or told in whys


def test_what_is_suspended_is_left_as_it_is_until_it_is_resumed(here: Machine) -> None:
    for name in (("dying",), ()):
        here.cli("suspend", *name)
        before = len(drifts(here))
        edit_the_environment(here)
        stop_by_hand(here)
        wait_for(lambda before=before: len(drifts(here)) > before)  # type: ignore[misc]
        here.sync()
        app = here.status()["apps"]["dying"]
        assert (app["sync"], app["status"]) == ("suspended", "failed")
        assert "pending: repair" in app["message"]
        assert here.pids("dying") == []
        here.cli("resume", *name)
        wait_for(lambda: is_whole(here) and here.is_synced())
        here.settle()
        here.engine.outcomes.drop("dying", "n1")
