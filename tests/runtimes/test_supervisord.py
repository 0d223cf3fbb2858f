"""A real supervisor is told about groups, and nothing gets lost on the way."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_for

from runtimes import strays, supervisord
from runtimes.supervisor_conf import STOP_SECONDS
from runtimes.supervisord import Supervisor, WantedApp


def describe(home: Path, supervisor: Supervisor, app: str, processes: Iterable[str] = ("main",)) -> None:
    """What the launcher reads of an app that sleeps."""
    folder = home / "apps" / app
    (folder / "blue").mkdir(parents=True)
    manifest = {
        "name": app,
        "version": "1",
        "revision": "",
        "digest": "a-b-c",
        "node": "node-1",
        "release": str(folder),
        "env_file": "",
        "side": "blue",
        "home_id": supervisor.home_id,
        "supervisor_pid": str(supervisor.pid_file),
        "processes": {name: [sys.executable, "-c", "import time\nwhile True: time.sleep(60)"] for name in processes},
    }
    (folder / "blue" / "applied.json").write_text(json.dumps(manifest))
    (folder / "blue" / "env").write_text("{}")


@pytest.fixture
def supervisor(home: Path) -> Supervisor:
    found = Supervisor(home)
    found.ensure_running()
    return found


def test_what_was_started_this_instant_can_be_stopped_at_once(home: Path, supervisor: Supervisor) -> None:
    describe(home, supervisor, "web")
    supervisor.put("web", ["main"])
    begun = time.monotonic()
    for _ in range(5):
        supervisor.start("web", ["main"])
        supervisor.stop("web")
        assert not strays.find(home)
    assert time.monotonic() - begun < STOP_SECONDS  # a lost request to stop costs as much, each time


def test_what_is_forked_in_the_moment_it_is_asked_to_stop_is_asked_again(
    home: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(home, supervisor, "web")
    supervisor.put("web", ["main"])
    monkeypatch.setattr("runtimes.supervisord._wait_begun", lambda infos: set())
    begun = time.monotonic()
    for _ in range(5):
        supervisor.start("web", ["main"])
        supervisor.stop("web")
        assert not strays.find(home)
    assert time.monotonic() - begun < STOP_SECONDS


def test_what_ended_by_itself_just_when_it_was_to_be_stopped_is_not_started_again(
    home: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["first", "second"]
    describe(home, supervisor, "web", names)
    monkeypatch.setattr("runtimes.supervisor_conf.STARTS_SECONDS", 0)  # then what ends is EXITED, not a failed start
    supervisor.put("web", names)
    really = supervisord.call_many
    refused: list[bool] = []

    def second_ends_before(path: Path, calls: Iterable[Any], **more: Any) -> list[Any]:
        """In one round: the second process is killed, the first is asked to stop, and so is the second."""
        asked = list(calls)
        if len(asked) < 2 or asked[-1] != ("supervisor.stopProcess", ("web:second", False)):
            return really(path, asked, **more)
        death = [("supervisor.signalProcess", ("web:second", "KILL"))]
        meanwhile = [("supervisor.getAllProcessInfo", ())] * 300 * (len(refused) + 1)
        answers = really(path, [*death, *meanwhile, *asked], **more)
        refused.append(answers[-1] is None)
        return answers[-len(asked) :]

    monkeypatch.setattr("runtimes.supervisord.call_many", second_ends_before)
    while not any(refused):  # on a busy machine it may take longer to die
        assert len(refused) < 20
        supervisor.start("web", names)
        begun = time.monotonic()
        supervisor.stop("web")
        assert time.monotonic() - begun < STOP_SECONDS
        assert {info.state for info in supervisor.group("web", names).values()} == {"STOPPED"}
        assert not strays.find(home)


def test_failed_starts_of_before_do_not_count_for_what_is_started_after_a_stop(
    home: Path, supervisor: Supervisor
) -> None:
    describe(home, supervisor, "web")
    (home / "apps" / "web" / "blue" / "applied.json").write_text("nothing that could be started")
    supervisor.put("web", ["main"])
    for _ in range(5):  # more than the supervisor tries
        supervisor.start("web", ["main"])
        wait_for(lambda: supervisor.group("web", ["main"])["main"].state not in {"STARTING", "RUNNING"})
        assert supervisor.group("web", ["main"])["main"].state == "BACKOFF"
        supervisor.stop("web")


def test_somebody_elses_bad_file_is_put_back_and_holds_up_nobody(home: Path, supervisor: Supervisor) -> None:
    describe(home, supervisor, "web")
    (home / "supervisor" / "conf.d" / "bad.conf.new").write_text("[program:bad]\n")
    described = Supervisor(home, apps=lambda: {"web": WantedApp(("main",), False)})
    described.put("web", ["main"])
    assert described.group("web", ["main"]).keys() == {"main"}
    assert not described.has_conf("bad")


def test_the_folder_of_a_socket_that_is_not_below_the_home_goes_and_comes_again(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    home.mkdir()
    supervisor = Supervisor(home)
    supervisor.ensure_running()
    folder = supervisor.socket.parent
    assert home not in folder.parents
    supervisor.shutdown()
    assert not folder.exists()
    try:
        supervisor.ensure_running()
        assert Supervisor(home).running()
    finally:
        supervisor.shutdown()
    assert not folder.exists()
