"""A real supervisor is told about groups, and nothing gets lost on the way."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from runtimes import strays
from runtimes.supervisor_conf import STOP_SECONDS
from runtimes.supervisord import Supervisor, WantedApp


def describe(home: Path, supervisor: Supervisor, app: str) -> None:
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
        "processes": {"main": [sys.executable, "-c", "import time\nwhile True: time.sleep(60)"]},
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
