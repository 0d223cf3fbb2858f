"""The services' supervisor: a real supervisord with real processes."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.service_config import Places, Program
from tasks.service_supervisor import Record, ServiceFailed, ServiceSupervisor, alive

SLEEP = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)")


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


@pytest.fixture
def supervisor() -> Iterator[ServiceSupervisor]:
    with tempfile.TemporaryDirectory(prefix="celeriac-") as home:  # pytest's folders are too deep for a socket
        places = Places.of(Path(home), Path(home))
        places.folder.mkdir()
        places.logs.mkdir()
        made = ServiceSupervisor(places)
        yield made
        if made.answers():
            made.end(list(pids(made)))
            made.shut_down()


def launch(supervisor: ServiceSupervisor, *programs: Program) -> int:
    pid = supervisor.launch(programs, dict(os.environ))
    supervisor.remember(Record("fingerprint", 5555, pid))
    return pid


def pids(supervisor: ServiceSupervisor) -> dict[str, int]:
    return {info["name"]: info["pid"] for info in supervisor.infos()}


def test_nothing_runs_before_it_is_begun_and_then_it_does(supervisor: ServiceSupervisor) -> None:
    assert not supervisor.answers()
    launch(supervisor, Program("one", SLEEP), Program("two", SLEEP))
    assert supervisor.answers()
    assert pids(supervisor) == {"one": 0, "two": 0}
    supervisor.begin(["one"])
    assert alive(pids(supervisor)["one"])
    assert pids(supervisor)["two"] == 0


def test_beginning_twice_starts_once(supervisor: ServiceSupervisor) -> None:
    launch(supervisor, Program("one", SLEEP))
    supervisor.begin(["one"])
    first = pids(supervisor)
    supervisor.begin(["one"])
    assert pids(supervisor) == first


def test_a_service_that_dies_is_started_again(supervisor: ServiceSupervisor) -> None:
    launch(supervisor, Program("one", SLEEP))
    supervisor.begin(["one"])
    before = pids(supervisor)["one"]
    os.kill(before, signal.SIGKILL)
    until(lambda: pids(supervisor)["one"] not in {0, before})


def test_end_stops_side_by_side_and_shut_down_leaves_nothing(supervisor: ServiceSupervisor) -> None:
    pid = launch(supervisor, Program("one", SLEEP), Program("two", SLEEP))
    supervisor.begin(["one", "two"])
    children = list(pids(supervisor).values())
    supervisor.end(["one", "two"])
    assert not any(alive(child) for child in children)
    supervisor.shut_down()
    assert not supervisor.answers()
    until(lambda: not alive(pid))


def test_a_new_one_waits_for_one_that_is_about_to_end(supervisor: ServiceSupervisor) -> None:
    first = launch(supervisor, Program("one", (*SLEEP[:-1], f"print('on', flush=True); {SLEEP[-1]}")))
    supervisor.begin(["one"])
    until(lambda: "on" in supervisor.places.log("one").read_text())
    os.kill(first, signal.SIGTERM)
    until(lambda: not supervisor.answers())
    second = launch(supervisor, Program("one", SLEEP))
    assert second != first
    until(lambda: not alive(first))


def test_kill_does_not_wait_for_one_that_takes_its_time(supervisor: ServiceSupervisor) -> None:
    code = "import signal, time; signal.signal(15, lambda *a: None); print('on', flush=True); time.sleep(600)"
    launch(supervisor, Program("slow", (sys.executable, "-I", "-S", "-c", code), stop_wait=500))
    supervisor.begin(["slow"])
    until(lambda: "on" in supervisor.places.log("slow").read_text())
    supervisor.end(["slow"], kill=True)
    assert pids(supervisor)["slow"] == 0


def test_services_end_softly_when_their_supervisor_is_killed(supervisor: ServiceSupervisor) -> None:
    code = (
        "import signal, sys, time; signal.signal(15, lambda *a: sys.exit(0)); print('on', flush=True); time.sleep(600)"
    )
    pid = launch(supervisor, Program("one", (sys.executable, "-I", "-S", "-c", code)))
    supervisor.begin(["one"])
    until(lambda: "on" in supervisor.places.log("one").read_text())
    child = pids(supervisor)["one"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(child))
    assert supervisor.infos() == []
    again = launch(supervisor, Program("one", SLEEP))
    assert again != pid
    assert pids(supervisor) == {"one": 0}


def test_environment_reaches_the_services_and_not_the_file(supervisor: ServiceSupervisor) -> None:
    show = (
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import os, time; print(os.environ['TOKEN'], flush=True); time.sleep(600)",
    )
    pid = supervisor.launch([Program("one", show)], {**os.environ, "TOKEN": "100%s; hunter2"})
    supervisor.remember(Record("", 0, pid))
    supervisor.begin(["one"])
    until(lambda: "100%s; hunter2" in supervisor.places.log("one").read_text())
    assert "hunter2" not in supervisor.places.conf.read_text()
    assert supervisor.places.conf.stat().st_mode & 0o777 == 0o600


def test_supervisor_that_cannot_start_says_why(supervisor: ServiceSupervisor) -> None:
    with pytest.raises(ServiceFailed, match="supervisor did not start"):
        supervisor.launch([Program("one", SLEEP)], {"PATH": "/bin", "PYTHONHOME": "/nowhere"})


def test_home_too_deep_for_a_socket_works_through_a_private_folder(tmp_path: Path) -> None:
    short = Path("/tmp") / f"celeriac-test-{os.getpid()}"
    places = Places.of(tmp_path / ("deep" * 25), short)
    places.folder.mkdir(parents=True)
    places.logs.mkdir()
    supervisor = ServiceSupervisor(places)
    try:
        launch(supervisor, Program("one", SLEEP))
        assert supervisor.answers()
        assert places.socket.parent.stat().st_mode & 0o777 == 0o700
        supervisor.shut_down()
    finally:
        places.socket.unlink(missing_ok=True)
        places.socket.parent.rmdir()
        short.rmdir()


def test_a_folder_that_is_a_link_is_not_trusted_with_the_socket(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    places = Places.of(tmp_path / ("deep" * 25), tmp_path)
    (tmp_path / places.socket.parent.name).symlink_to(tmp_path / "elsewhere")
    places.folder.mkdir(parents=True)
    places.logs.mkdir()
    with pytest.raises(ServiceFailed, match="belongs to somebody else"):
        ServiceSupervisor(places).launch([Program("one", SLEEP)], dict(os.environ))
