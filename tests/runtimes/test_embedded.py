"""Embedded apps: guests of one shared host process under a real supervisor."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from hosting import app_wheel, free_port, request, shop, wheel_of
from lodgers import ASGI, Lodgers
from waiting import is_running, wait_for

from runtimes import ports, strays
from runtimes.base import RuntimeFailure
from runtimes.guests import Guests
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor
from runtimes.testing import RuntimeConformance
from sources import build, resolve_processes
from specs.digest import digest
from specs.model import AppSpec, Expose, Isolation, Run, Source, Upgrade


@pytest.fixture
def lodgers(home: Path) -> Lodgers:
    return Lodgers(home)


@pytest.fixture
def runtime(lodgers: Lodgers) -> ProcessRuntime:
    return ProcessRuntime(lodgers.context())


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


COUNTING = """
import os
from @P@ import state
def look(path):
    state.hits += 1
    return {"code": "@V@", "hits": state.hits, "pid": os.getpid(), "hooks": state.hooks}
def code_change(old, new):
    state.hooks.append([old, new])
"""
COUNTER = {"look": COUNTING, "state": "hits = 0\nhooks = []\n"}


def host_pid(home: Path) -> int:
    """The shared host process."""
    return Guests(home, ProcessRuntime(Lodgers(home).context()).store, Supervisor(home)).pid()


def counters(lodgers: Lodgers, *names: str) -> None:
    """Have these apps count, and say their version by code that can be reloaded."""
    for name in names:
        for version in ("1.0", "1.1", "1.2"):
            lodgers.modules[name, version] = COUNTER


# Neighbours


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


# What guests share


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


# From one isolation to the other


def test_an_app_moves_between_embedded_and_process_both_ways(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path
) -> None:
    runtime.deploy(lodgers.spec("one", isolation="process"))
    own = lodgers.get("one")["pid"]
    assert host_pid(home) == 0
    state = runtime.upgrade(lodgers.spec("one"), "1.0")
    assert (state.isolation, state.status) == ("embedded", "running")
    assert lodgers.get("one")["pid"] == host_pid(home) != own
    assert not is_running(own)
    pid = host_pid(home)
    state = runtime.upgrade(lodgers.spec("one", isolation="process"), "1.0")
    assert (state.isolation, lodgers.get("one")["pid"]) == ("process", state.pid)
    assert not is_running(pid)
    assert [process.pid for process in strays.find(home)] == [state.pid]


def test_a_move_that_fails_is_rolled_back_by_its_caller(runtime: ProcessRuntime, lodgers: Lodgers, home: Path) -> None:
    lodgers.modules["one", "1.1"] = {"web": "import threading\nraise ValueError('not as a guest')\n"}
    old = lodgers.spec("one", isolation="process")
    runtime.deploy(old)
    with pytest.raises(RuntimeFailure):
        runtime.upgrade(lodgers.spec("one", "1.1"), "1.0")
    state = runtime.upgrade(old, "1.1")
    assert (state.isolation, state.health) == ("process", "healthy")
    assert host_pid(home) == 0


_DIE = """
    import os, signal, sys
    sys.path[:0] = [{root!r}, {support!r}]
    from pathlib import Path
    from lodgers import ASGI, Lodgers
    from runtimes.applied import AppliedStore
    from runtimes.guests import Guests
    from runtimes.process import ProcessRuntime
    from runtimes.starting import Starter
    from runtimes.supervisord import Supervisor

    def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
    def after(owner, name):
        real = getattr(owner, name)
        def wrapped(*arguments, **options):
            real(*arguments, **options)
            die()
        setattr(owner, name, wrapped)

    lodgers = Lodgers(Path({home!r}), ports={ports!r})
    runtime = ProcessRuntime(lodgers.context())
    {dying}
    runtime.upgrade(lodgers.spec("one", "1.1", isolation={isolation!r}), "1.0")
"""


@pytest.mark.parametrize(
    ("then", "dying"),
    [
        ("embedded", "after(Supervisor, 'stop')"),
        ("embedded", "after(AppliedStore, 'put')"),
        ("embedded", "after(Guests, 'ensure')"),
        ("embedded", "after(Supervisor, 'start')"),
        ("embedded", "Starter.proved = die"),
        ("process", "after(Supervisor, 'stop')"),
        ("process", "Starter.start = die"),
        ("process", "Guests.settle = die"),
    ],
)
def test_a_move_that_was_killed_is_finished_by_the_next_sync(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path, then: Isolation, dying: str
) -> None:
    runtime.deploy(lodgers.spec("two"))
    runtime.deploy(lodgers.spec("one", isolation="process" if then == "embedded" else "embedded"))
    root, support = Path(__file__).parents[2], Path(__file__).parents[1] / "support"
    program = textwrap.dedent(_DIE).format(
        root=str(root), support=str(support), home=str(home), ports=lodgers.ports, dying=dying, isolation=then
    )
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    os.kill(host_pid(home), signal.SIGKILL)  # and the shared process with it
    runtime.revive()
    state = runtime.upgrade(lodgers.spec("one", "1.1", isolation=then), "1.0")
    assert (state.isolation, state.version, state.health) == (then, "1.1", "healthy")
    told = lodgers.get("one")
    assert (told["code"], told["pid"] == host_pid(home)) == ("1.1", then == "embedded")
    assert [process.pid for process in strays.find(home, "one")] == [state.pid]
    wait_for(lambda: ports.is_open(lodgers.ports["two"]))
    assert lodgers.get("two")["pid"] == host_pid(home)


# Deaths


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


# The protocol


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
