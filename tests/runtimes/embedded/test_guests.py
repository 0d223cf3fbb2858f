"""Logs, secrets, the front, and what every runtime promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
from hosting import free_port
from lodgers import Lodgers, counters, host_pid
from waiting import wait_for

from runtimes import strays
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor
from runtimes.testing import RuntimeConformance
from specs.model import AppSpec, Expose, Upgrade


def test_each_guest_prints_into_its_own_log(runtime: ProcessRuntime, lodgers: Lodgers, home: Path) -> None:
    talking = """
import logging, sys, threading
logging.basicConfig(level=logging.INFO)
print("imported @V@")
def look(path):
    print("asked of " + path)
    print("badly", file=sys.stderr)
    logging.getLogger("shop").warning("warned")
    thread = threading.Thread(target=print, args=("from a thread",))
    thread.start()
    thread.join()
    return 1
"""
    for name, version in (("one", "1.0"), ("two", "1.1")):
        lodgers.modules[name, version] = {"look": talking}
        runtime.deploy(lodgers.spec(name, version))
    lodgers.get("one", "/first")
    lodgers.get("two", "/second")
    wait_for(lambda: "asked of /second" in lodgers.log("two"))
    for name, there, elsewhere in (("one", "1.0", "/second"), ("two", "1.1", "/first")):
        log = lodgers.log(name)
        for said in (
            f"imported {there}",
            "badly",
            "WARNING:shop:warned",
            "from a thread",
            "Application startup complete",
        ):
            assert said in log
        assert elsewhere not in log
    assert "asked" not in (home / "logs" / "@guests.log").read_text()


def test_no_secret_is_passed_to_the_shared_process_but_by_the_file(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path
) -> None:
    runtime.deploy(lodgers.spec("one", env={"SECRET": "hunter2"}))
    assert lodgers.get("one")["secret"] == "hunter2"
    host = psutil.Process(host_pid(home))
    assert "hunter2" not in repr((host.environ(), host.cmdline()))
    for path in (home / "guests" / "control.sock", home / "apps" / "one" / "blue" / "run" / "main.sock"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_guest_is_upgraded_beside_itself_behind_the_front(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path, port: int
) -> None:
    counters(lodgers, "one", "two")
    for version in ("1.0", "1.1"):
        lodgers.fakes["one", version] = {"tool": ("1.0", "")}
    lodgers.fakes["one", "1.2"] = {"tool": ("1.2", "")}
    lodgers.ports["one"] = port
    runtime.deploy(lodgers.spec("two"))
    more: dict[str, Any] = {"expose": Expose(port), "upgrade": Upgrade("blue_green")}
    runtime.deploy(lodgers.spec("one", **more))
    first = lodgers.get("one")
    state = runtime.upgrade(lodgers.spec("one", "1.1", **more), "1.0")
    told = lodgers.get("one")
    assert (told["code"], told["pid"], state.message) == ("1.1", first["pid"], "")
    assert not lodgers.heard("upgrade.fallback")
    state = runtime.upgrade(lodgers.spec("one", "1.2", **more), "1.1")
    assert "needs tool 1.2" in state.message
    assert (lodgers.get("one")["code"], lodgers.get("two")["pid"]) == ("1.2", first["pid"])
    (event,) = lodgers.heard("upgrade.fallback")
    assert (event["strategy"], event["by"]) == ("blue_green", "restart")
    assert len(strays.find(home, "one")) == 1


class TestEmbedded(RuntimeConformance):
    """What every runtime promises, by guests."""

    lodgers: Lodgers

    def make_runtime(self, home: Path) -> ProcessRuntime:
        """The process runtime, given releases that can be guests."""
        if getattr(self, "_home", None) != home:
            self._home, self.lodgers = home, Lodgers(home)
        return ProcessRuntime(self.lodgers.context())

    def make_spec(self, version: str, **changes: Any) -> AppSpec:
        """A guest that answers."""
        name = changes.pop("name", "app")
        port = self.lodgers.ports.setdefault("renamed" if name == "app" else name, free_port())
        self.lodgers.ports[name] = port
        return self.lodgers.spec(name, version, **changes)

    def make_failing_spec(self, version: str, **changes: Any) -> AppSpec:
        """A guest whose module raises."""
        spec = self.make_spec(version, **changes)
        self.lodgers.modules[spec.name, version] = {"web": "raise RuntimeError('no such table')\n"}
        return spec

    def end(self, runtime: Any, home: Path) -> None:
        """End everything by id."""
        try:
            Supervisor(home).shutdown()
        finally:
            strays.end(strays.find(home), grace=0)
