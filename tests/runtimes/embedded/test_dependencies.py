"""What guests share: the dependencies of all of them, and the server."""

from __future__ import annotations

import http.client
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hosting import app_wheel, shop, wheel_of
from lodgers import ASGI, Lodgers, counters, host_pid
from waiting import wait_for

from runtimes import ports
from runtimes.base import RuntimeFailure
from runtimes.process import ProcessRuntime
from sources import build, resolve_processes
from specs.digest import digest
from specs.model import Run, Source, Upgrade


def test_guests_that_need_different_versions_are_refused_with_both_named(
    runtime: ProcessRuntime, lodgers: Lodgers
) -> None:
    using = {"look": "import tool\ndef look(path): return tool.VERSION\n"}
    for name, version, tool in (
        ("one", "1.0", "1.0"),
        ("two", "1.0", "2.0"),
        ("two", "1.1", "1.0"),
        ("one", "1.1", "3.0"),
    ):
        lodgers.modules[name, version] = using
        lodgers.fakes[name, version] = {"tool": (tool, f"VERSION = {tool!r}\n")}
    before = runtime.deploy(lodgers.spec("one"))
    with pytest.raises(RuntimeFailure) as caught:
        runtime.deploy(lodgers.spec("two"))
    assert (caught.value.reason, caught.value.message) == (
        "DependencyConflict",
        "two needs tool 2.0, and its neighbour one runs with 1.0: embedded apps share one process",
    )
    assert "isolation: process" in caught.value.hint
    assert runtime.current_state() == {"one": before}
    alone = runtime.deploy(lodgers.spec("two", isolation="process"))
    assert (alone.isolation, lodgers.get("one"), lodgers.get("two")) == ("process", "1.0", "2.0")
    together = runtime.upgrade(lodgers.spec("two", "1.1"), "1.0")
    assert (together.isolation, lodgers.get("two")) == ("embedded", "1.0")
    with pytest.raises(RuntimeFailure, match=r"one needs tool 3\.0, and its neighbour two runs with 1\.0"):
        runtime.upgrade(lodgers.spec("one", "1.1"), "1.0")
    assert (lodgers.get("one"), runtime.current_state()["one"].status) == ("1.0", "running")


def test_a_guest_may_change_a_dependency_that_no_neighbour_has(runtime: ProcessRuntime, lodgers: Lodgers) -> None:
    counters(lodgers, "two")
    for version in ("1.0", "1.1"):
        lodgers.modules["one", version] = {"look": "import tool\ndef look(path): return tool.VERSION\n"}
        lodgers.fakes["one", version] = {"tool": (version, f"VERSION = {version!r}\n")}
    runtime.deploy(lodgers.spec("two"))
    pid = lodgers.get("two")["pid"]
    runtime.deploy(lodgers.spec("one"))
    assert lodgers.get("one") == "1.0"
    state = runtime.upgrade(lodgers.spec("one", "1.1", upgrade=Upgrade("hot_reload")), "1.0")
    assert lodgers.get("one") == "1.1"
    assert "its dependencies changed: tool" in state.message
    assert (lodgers.get("two")["pid"], lodgers.get("two")["hits"] > 2) == (pid, True)


def test_a_c_extension_in_memory_is_exchanged_by_a_restart_of_the_shared_process(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path
) -> None:
    import _lsprof

    counters(lodgers, "two")
    for version in ("1.0", "1.1"):
        lodgers.modules["one", version] = {
            "look": "import fast.x, fast._lsprof\ndef look(path): return fast.x.VERSION\n"
        }
        lodgers.fakes["one", version] = {"fast": (version, f"VERSION = {version!r}\n")}
        lodgers.extensions["one", version] = Path(_lsprof.__file__)
    runtime.deploy(lodgers.spec("two"))
    runtime.deploy(lodgers.spec("one"))
    pid = host_pid(home)
    runtime.upgrade(lodgers.spec("one", "1.1"), "1.0")
    assert lodgers.get("one") == "1.1"
    wait_for(lambda: ports.is_open(lodgers.ports["two"]))
    assert lodgers.get("two")["pid"] == host_pid(home) != pid
    runtime.restart("two")
    (event,) = lodgers.heard("guests.restart")
    assert (event["guest"], event["neighbours"]) == ("one", ["two"])
    assert "C extension of fast 1.0" in event["why"]


REFLECTING = """
import dataclasses, importlib, importlib.metadata, os, pickle, subprocess, sys, threading, typing
import tool
from . import state
import @P@.state as same
from @P@ import state as again

@dataclasses.dataclass
class Point:
    x: "int" = 1

class Other(typing.NamedTuple):
    point: "Point"

def refused(function, *arguments):
    try:
        function(*arguments)
    except RuntimeError as error:
        return str(error)

def look(path):
    import @P@.late
    seen = []
    thread = threading.Thread(target=lambda: seen.append(os.getenv("SECRET")))
    thread.start()
    thread.join()
    child = subprocess.run([sys.executable, "-c", "import os; print(os.environ.get('SECRET'))"], capture_output=True)
    return {
        "one module": state is same is again is importlib.import_module("@P@.state"),
        "late": @P@.late.NAME,
        "pickle": pickle.loads(pickle.dumps(Point(2))) == Point(2),
        "hints": typing.get_type_hints(Other)["point"] is Point,
        "secret": [os.environ["SECRET"], seen[0], child.stdout.decode().strip()],
        "library": tool.look(),
        "cwd": os.path.isdir(os.environ["CELERIAC_DATA"]),
        "spec": importlib.util.find_spec("@P@.late") is not None,
        "chdir": refused(os.chdir, "/"),
    }
"""


def test_what_a_guest_can_do_with_its_modules_and_its_environment(runtime: ProcessRuntime, lodgers: Lodgers) -> None:
    tool = "import os\ndef look(): return [os.environ.get('SECRET'), 'hunter2' in repr(dict(os.environ))]\n"
    for name in ("one", "two"):
        lodgers.modules[name, "1.0"] = {"look": REFLECTING, "state": "", "late": f"NAME = {name!r}\n"}
        lodgers.fakes[name, "1.0"] = {"tool": ("1.0", tool)}
    for name in ("one", "two"):
        runtime.deploy(lodgers.spec(name, env={"SECRET": f"hunter2-{name}"}))
    for name in ("one", "two"):
        secret = f"hunter2-{name}"
        assert lodgers.get(name) == {
            "one module": True,
            "late": name,
            "pickle": True,
            "hints": True,
            "secret": [secret, secret, "None"],
            "library": [None, False],
            "cwd": True,
            "spec": True,
            "chdir": "a guest cannot change the working folder, which is its neighbours' too: use $CELERIAC_DATA",
        }


def test_a_new_environment_reaches_the_guest_alone_by_its_hook(runtime: ProcessRuntime, lodgers: Lodgers) -> None:
    hook = "\nseen = []\ndef config_change(changed, new, removed): seen.append(changed)\n"
    look = "import os\ndef look(path): return [os.environ.get('GREETING'), os.getpid()]\n"
    for name in ("one", "two"):
        lodgers.modules[name, "1.0"] = {"look": look, "web": ASGI + hook}
    first = runtime.deploy(lodgers.spec("one", env={"GREETING": "hello"}))
    runtime.deploy(lodgers.spec("two", env={"GREETING": "salut"}))
    pid = lodgers.get("one")[1]
    spec = lodgers.spec("one", env={"GREETING": "hi"})
    state = runtime.reconfigure(spec)
    assert (state.digest, state.pid) == (str(digest(spec)), first.pid)
    assert (lodgers.get("one"), lodgers.get("two")) == (["hi", pid], ["salut", pid])


@pytest.mark.parametrize("server", ["hypercorn", "waitress"])
def test_a_guest_is_served_upgraded_and_ended_on_each_server(
    runtime: ProcessRuntime, lodgers: Lodgers, server: str
) -> None:
    lodgers.servers["one"] = server
    counters(lodgers, "one", "two")
    runtime.deploy(lodgers.spec("two"))
    first = runtime.deploy(lodgers.spec("one", upgrade=Upgrade("hot_reload")))
    kept = http.client.HTTPConnection("127.0.0.1", lodgers.ports["one"], timeout=10)
    kept.request("GET", "/")
    kept.getresponse().read()
    state = runtime.upgrade(lodgers.spec("one", "1.1", upgrade=Upgrade("hot_reload")), "1.0")
    assert (lodgers.get("one")["code"], state.pid) == ("1.1", first.pid)
    runtime.upgrade(lodgers.spec("one", "1.2"), "1.1")
    assert lodgers.get("one")["code"] == "1.2"
    kept.close()
    runtime.remove("one")
    assert not ports.is_open(lodgers.ports["one"])
    assert lodgers.get("two")["hits"] > 1


def test_a_server_that_cannot_serve_a_guest_is_named(runtime: ProcessRuntime, lodgers: Lodgers) -> None:
    context = replace(
        lodgers.context(),
        resolve=lambda spec, release: {"main": (*lodgers.resolve(spec, release)["main"][:4], "gunicorn", spec.run.app)},
    )
    with pytest.raises(RuntimeFailure) as caught:
        ProcessRuntime(context).deploy(lodgers.spec("one"))
    said = "of the servers that the release brings (gunicorn) none serves that as a guest: add uvicorn or hypercorn"
    assert any(said in line for line in caught.value.output)


def test_guests_of_one_package_in_two_versions_are_built_served_and_reloaded(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(shelf))
    monkeypatch.setenv("UV_OFFLINE", "1")
    wheel_of("waitress", shelf)
    about = "from importlib.metadata import version\nVERSION = version('shop')\n"
    for version in ("1.0", "1.1", "2.0"):
        files = shop(version, "wsgi", shop__about=about)
        files["shop/answers.py"] = "from shop.about import VERSION\n" + files["shop/answers.py"].replace(
            '"hits"', '"about": VERSION, "hits"'
        )
        app_wheel(shelf, version, files, ["waitress"])
    context = replace(lodgers.context(), build=lambda spec: build(spec, home), resolve=resolve_processes)
    runtime = ProcessRuntime(context)
    more: dict[str, Any] = {"source": Source(package="shop"), "upgrade": Upgrade("hot_reload")}
    first = runtime.deploy(lodgers.spec("one", "1.0", **more))
    runtime.deploy(lodgers.spec("two", "2.0", **more))
    state = runtime.upgrade(lodgers.spec("one", "1.1", **more), "1.0")
    one, two = lodgers.get("one"), lodgers.get("two")
    assert [(told["version"], told["about"], told["stamp"]) for told in (one, two)] == [("1.1",) * 3, ("2.0",) * 3]
    assert (one["pid"], state.pid, one["hooks"]) == (two["pid"], first.pid, [["1.0", "1.1"]])
    assert not (home / "guests" / "site-packages" / "shop").exists()


def test_only_a_hosted_app_is_embedded(runtime: ProcessRuntime, lodgers: Lodgers) -> None:
    with pytest.raises(RuntimeFailure, match=r"only run\.app can be embedded") as caught:
        runtime.deploy(lodgers.spec("one", run=Run({"main": ("sleep", "60")})))
    assert caught.value.reason == "NotHosted"
