"""Guests of one shared host process, and what neighbours notice of each other: nothing."""

from __future__ import annotations

import contextlib
import http.client
from pathlib import Path

import pytest
from hosting import request
from lodgers import COUNTER, COUNTING, Lodgers, counters, host_pid
from waiting import is_running, wait_for

from runtimes import ports, strays
from runtimes.base import RuntimeFailure
from runtimes.process import ProcessRuntime
from specs.digest import digest
from specs.model import Upgrade


def test_two_guests_with_equally_named_modules_share_one_process(runtime: ProcessRuntime, lodgers: Lodgers) -> None:
    one = runtime.deploy(lodgers.spec("one", "1.0", env={"SECRET": "a"}))
    two = runtime.deploy(lodgers.spec("two", "2.0", env={"SECRET": "b"}))
    told = [lodgers.get("one"), lodgers.get("two")]
    assert [(it["app"], it["code"], it["version"], it["secret"]) for it in told] == [
        ("one", "1.0", "1.0", "a"),
        ("two", "2.0", "2.0", "b"),
    ]
    assert told[0]["pid"] == told[1]["pid"]
    assert (one.isolation, one.status, one.health) == ("embedded", "running", "healthy")
    assert two.digest == str(digest(lodgers.spec("two", "2.0", env={"SECRET": "b"})))


def test_a_guest_is_deployed_upgraded_and_removed_beside_a_neighbour_that_sees_nothing(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path
) -> None:
    counters(lodgers, "one", "two")
    before = runtime.deploy(lodgers.spec("one"))
    pid = lodgers.get("one")["pid"]
    assert pid == host_pid(home)
    runtime.deploy(lodgers.spec("two"))
    runtime.upgrade(lodgers.spec("two", "1.1"), "1.0")
    assert (lodgers.get("two")["code"], lodgers.get("two")["pid"]) == ("1.1", pid)
    runtime.restart("two")
    runtime.stop("two")
    assert not ports.is_open(lodgers.ports["two"])
    runtime.remove("two")
    told = lodgers.get("one")
    assert (told["pid"], told["hits"]) == (pid, lodgers.get("one")["hits"] - 1)
    assert told["hits"] > 2
    assert runtime.current_state() == {"one": before}
    runtime.remove("one")
    assert not is_running(pid)
    assert not strays.find(home)
    assert not (home / "guests" / "site-packages").exists()


def test_a_guest_is_hot_reloaded_in_the_shared_process_and_a_neighbour_of_the_same_modules_is_not(
    runtime: ProcessRuntime, lodgers: Lodgers
) -> None:
    counters(lodgers, "one", "two")
    for name in ("one", "two"):
        runtime.deploy(lodgers.spec(name, upgrade=Upgrade("hot_reload")))
    first, pid = lodgers.get("one"), runtime.current_state()["one"].pid
    state = runtime.upgrade(lodgers.spec("one", "1.1", upgrade=Upgrade("hot_reload")), "1.0")
    told = lodgers.get("one")
    assert (told["code"], told["pid"], told["hooks"]) == ("1.1", first["pid"], [["1.0", "1.1"]])
    assert told["hits"] > first["hits"]
    assert (state.version, state.pid, state.message) == ("1.1", pid, "")
    assert lodgers.heard("code.load")[0]["modules"][-1].endswith(".shop.web")
    assert not lodgers.heard("upgrade.fallback")
    other = lodgers.get("two")
    assert (other["code"], other["hooks"]) == ("1.0", [])
    assert runtime.upgrade(lodgers.spec("two", "1.2", upgrade=Upgrade("hot_reload")), "1.0").version == "1.2"
    assert [lodgers.get(name)["code"] for name in ("one", "two")] == ["1.1", "1.2"]
    assert runtime.deploy(lodgers.spec("one", "1.1", upgrade=Upgrade("hot_reload"))) == runtime.current_state()["one"]


def test_a_reload_that_fails_leaves_the_guest_as_it_was_and_then_restarts_it_alone(
    runtime: ProcessRuntime, lodgers: Lodgers
) -> None:
    counters(lodgers, "one", "two")
    lodgers.modules["one", "1.1"] = {**COUNTER, "look": COUNTING + "\nimport builtins\nif hasattr(builtins, 'x'): y\n"}
    lodgers.modules["one", "1.2"] = {**COUNTER, "look": COUNTING + "\nraise ValueError('no')\n"}
    for name in ("one", "two"):
        runtime.deploy(lodgers.spec(name, upgrade=Upgrade("hot_reload")))
    with pytest.raises(RuntimeFailure):
        runtime.upgrade(lodgers.spec("one", "1.2", upgrade=Upgrade("hot_reload")), "1.0")
    assert "ValueError" in lodgers.heard("upgrade.fallback")[0]["why"]
    assert runtime.upgrade(lodgers.spec("one", "1.1", upgrade=Upgrade("hot_reload")), "1.2").status == "running"
    assert lodgers.get("two")["hits"] > 1


BROKEN = """
import asyncio, os, sys, threading
def look(path):
    if path == "/exit":
        asyncio.get_running_loop().call_soon(sys.exit, "out of here")
    if path == "/raise":
        raise ValueError("a bug")
    if path == "/thread":
        threading.Thread(target=lambda: 1 / 0).start()
    return {"pid": os.getpid()}
"""


def test_an_exception_of_a_guest_ends_neither_host_nor_neighbour(runtime: ProcessRuntime, lodgers: Lodgers) -> None:
    lodgers.modules["one", "1.0"] = {"look": BROKEN}
    lodgers.modules["bad", "1.0"] = {"web": "raise RuntimeError('cannot be imported')"}
    counters(lodgers, "two")
    first = runtime.deploy(lodgers.spec("one"))
    runtime.deploy(lodgers.spec("two"))
    pid = lodgers.get("one")["pid"]
    with pytest.raises(RuntimeFailure) as caught:
        runtime.deploy(lodgers.spec("bad"))
    assert any("RuntimeError: cannot be imported" in line for line in caught.value.output)
    for path in ("/raise", "/thread"):
        request(lodgers.ports["one"], path)
    wait_for(lambda: "ZeroDivisionError" in lodgers.log("one"))
    assert "a bug" in lodgers.log("one")
    assert lodgers.get("one")["pid"] == pid
    assert first.pid is not None
    with contextlib.suppress(OSError, http.client.HTTPException):
        request(lodgers.ports["one"], "/exit")
    wait_for(lambda: not is_running(first.pid or 0))
    wait_for(lambda: runtime.current_state()["one"].status == "running" and ports.is_open(lodgers.ports["one"]))
    wait_for(lambda: runtime.current_state()["one"].pid != first.pid)
    assert "it ended itself: out of here" in lodgers.log("one")
    assert (lodgers.get("one")["pid"], lodgers.get("two")["pid"]) == (pid, pid)
    assert not any("ZeroDivision" in lodgers.log(name) for name in ("two", "bad"))
