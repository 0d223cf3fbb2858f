"""Whatever of it is killed or hangs, guests come back, and no other is touched."""

from __future__ import annotations

import http.client
import os
import signal
from pathlib import Path

from hosting import request
from lodgers import Lodgers, counters, host_pid
from waiting import is_running, wait_for

from runtimes import ports
from runtimes.process import ProcessRuntime


def test_a_host_that_is_killed_comes_back_with_all_its_guests(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path
) -> None:
    before = {name: runtime.deploy(lodgers.spec(name)) for name in ("one", "two")}
    pid = host_pid(home)
    os.kill(pid, signal.SIGKILL)
    for name, old in before.items():
        wait_for(lambda name=name, old=old: runtime.current_state()[name].pid not in {None, old.pid})  # type: ignore[misc]
        wait_for(lambda name=name: ports.is_open(lodgers.ports[name]))  # type: ignore[misc]
        assert lodgers.get(name)["pid"] == host_pid(home) != pid
        assert runtime.deploy(lodgers.spec(name)).digest == old.digest


def test_a_supervisor_that_is_killed_comes_back_with_the_host_and_its_guests(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path
) -> None:
    runtime.deploy(lodgers.spec("one"))
    pid = host_pid(home)
    os.kill(int((home / "supervisor" / "supervisord.pid").read_text()), signal.SIGKILL)
    runtime.revive()
    wait_for(lambda: ports.is_open(lodgers.ports["one"]))
    assert lodgers.get("one")["pid"] == host_pid(home) != pid
    assert not is_running(pid)


def test_an_attendant_that_is_killed_takes_its_guest_along_and_no_other(
    runtime: ProcessRuntime, lodgers: Lodgers
) -> None:
    counters(lodgers, "one", "two")
    first = runtime.deploy(lodgers.spec("one"))
    runtime.deploy(lodgers.spec("two"))
    for _ in range(3):
        lodgers.get("one")
    told = lodgers.get("one")
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: runtime.current_state()["one"].pid not in {None, first.pid})
    wait_for(lambda: runtime.check(lodgers.spec("one")).ok)
    again = lodgers.get("one")
    assert (again["pid"], again["hits"] < told["hits"]) == (told["pid"], True)
    assert lodgers.get("two")["hits"] > 1


HANGING = """
import os, threading, time
def busy():
    while True:
        try:
            time.sleep(0.01)
        except ValueError:
            pass
threading.Thread(target=busy, daemon=True, name="busy").start()
def look(path):
    if path == "/spin":
        while True:
            pass
    if path == "/sleep":
        time.sleep(600)
    return {"pid": os.getpid(), "threads": sum(one.name == "busy" for one in threading.enumerate())}
"""


def hang(port: int, path: str) -> http.client.HTTPConnection:
    """Make a guest's event loop hang in a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    wait_for(lambda: not _answers(port))
    return connection


def _answers(port: int) -> bool:
    try:
        return request(port, "/", 0.3)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_guest_that_hangs_in_python_is_ended_alone_with_its_threads(
    runtime: ProcessRuntime, lodgers: Lodgers
) -> None:
    lodgers.modules["one", "1.0"] = {"look": HANGING}
    counters(lodgers, "two")
    runtime.deploy(lodgers.spec("two"))
    runtime.deploy(lodgers.spec("one"))
    pid = lodgers.get("two")["pid"]
    assert lodgers.get("one")["threads"] == 1
    connection = hang(lodgers.ports["one"], "/spin")
    runtime.restart("one")
    connection.close()
    assert lodgers.get("one") == {"pid": pid, "threads": 1}
    assert lodgers.get("two")["pid"] == pid
    assert not lodgers.heard("guests.restart")


def test_a_guest_that_cannot_be_ended_restarts_the_shared_process_and_that_is_told(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path
) -> None:
    lodgers.modules["one", "1.0"] = {"look": HANGING}
    runtime.deploy(lodgers.spec("two"))
    runtime.deploy(lodgers.spec("one"))
    pid = host_pid(home)
    connection = hang(lodgers.ports["one"], "/sleep")
    runtime.restart("one")
    connection.close()
    assert lodgers.get("one")["pid"] == host_pid(home) != pid
    wait_for(lambda: ports.is_open(lodgers.ports["two"]))
    assert lodgers.get("two")["pid"] == host_pid(home)
    assert lodgers.heard("guests.restart") == [{"guest": "one", "why": "its server did not end", "neighbours": ["two"]}]
