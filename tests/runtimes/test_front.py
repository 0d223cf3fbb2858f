"""The front keeps public ports and host names for apps, and says who may not have one."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from beside import Beside, answer, exposed, free_port
from waiting import is_running, wait_for

from runtimes.base import RuntimeFailure
from runtimes.front import NAME, Front, RouteRefusedError
from runtimes.front_admin import program, refusal, version
from runtimes.front_config import Route, conflict, front_config, is_public
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor
from specs.model import Expose


@pytest.fixture
def front(home: Path) -> Front:
    supervisor = Supervisor(home)
    supervisor.ensure_running()
    return Front(home, supervisor)


@pytest.fixture
def runtime(home: Path) -> ProcessRuntime:
    return Beside(home).runtime()


@pytest.fixture
def foreign() -> Iterator[socket.socket]:
    """Somebody else, who would even share the port."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held


def test_two_apps_share_a_port_by_their_host_names(runtime: ProcessRuntime, port: int) -> None:
    runtime.deploy(exposed(port, "1", name="shop", expose=Expose(port, "shop.localhost")))
    runtime.deploy(exposed(port, "2", name="blog", expose=Expose(port, "blog.localhost")))
    runtime.deploy(exposed(port, "3", name="rest"))
    assert [answer(port, host) for host in ("shop.localhost", "blog.localhost", "", "else.localhost")] == list("1233")
    with pytest.raises(RuntimeFailure, match=r"for SHOP\.localhost is exposed by shop already") as caught:
        runtime.deploy(exposed(port, name="late", expose=Expose(port, "SHOP.localhost")))
    assert (caught.value.reason, caught.value.step) == ("RouteTaken", "start")
    assert "late" not in runtime.current_state()
    runtime.remove("rest")
    with pytest.raises(OSError, match="404"):
        answer(port, "else.localhost")
    assert answer(port, "shop.localhost") == "1"


def test_a_port_that_somebody_else_holds_is_named_and_nothing_is_touched(
    runtime: ProcessRuntime, port: int, foreign: socket.socket
) -> None:
    old = runtime.deploy(exposed(port))
    taken = foreign.getsockname()[1]
    with pytest.raises(RuntimeFailure, match=rf"port {taken} is already in use by process {os.getpid()}") as caught:
        runtime.upgrade(exposed(taken, "2"), "1")
    assert caught.value.reason == "PortTaken"
    assert runtime.current_state() == {"web": old}
    assert answer(port) == "1"


def test_another_home_cannot_take_the_port(runtime: ProcessRuntime, port: int, tmp_path: Path) -> None:
    runtime.deploy(exposed(port))
    other = Beside(tmp_path / "other")
    other.home.mkdir()
    try:
        with pytest.raises(RuntimeFailure, match=rf"port {port} is already in use by process \d+ \(caddy\)"):
            other.runtime().deploy(exposed(port, "2"))
        state = other.runtime().deploy(exposed(free_port(), "2"))
        ports = [one.applied("web") for one in (runtime, other.runtime())]
        assert len({one.port for one in ports if one is not None}) == 2
        assert state.health == "healthy"
    finally:
        other.end()


def test_the_apps_own_port_cannot_be_the_public_one(runtime: ProcessRuntime, port: int) -> None:
    with pytest.raises(RuntimeFailure, match="leave PORT out"):
        runtime.deploy(exposed(port, env={"PORT": str(port)}))


def test_an_app_may_have_a_private_port_of_its_own_choice(runtime: ProcessRuntime, port: int) -> None:
    own = free_port()
    runtime.deploy(exposed(port, env={"PORT": str(own)}))
    state = runtime.upgrade(exposed(port, "2", env={"PORT": str(own)}), "1")
    assert (answer(port), answer(own)) == ("2", "2")
    assert "env says PORT" in state.message


def test_a_front_that_dies_comes_back_by_itself_with_all_it_led_to(
    runtime: ProcessRuntime, home: Path, port: int
) -> None:
    runtime.deploy(exposed(port))
    (pid,) = Beside(home).pids(NAME)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_running(pid))
    front = Front(home, runtime.supervisor)
    wait_for(front.running)
    assert answer(port) == "1"


def test_a_port_lost_while_the_front_was_down_holds_up_no_other_route(front: Front, port: int) -> None:
    lost = free_port()
    front.claim("web", Route(port))
    front.claim("shop", Route(lost))
    front._supervisor.stop(NAME)
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("0.0.0.0", lost))
        held.listen()
        front.ensure()
        assert front.running()
        assert set(json.loads(front._conf.read_text())["apps"]["http"]["servers"]) == {f"port-{port}"}
    front.ensure()
    assert set(json.loads(front._conf.read_text())["apps"]["http"]["servers"]) == {f"port-{port}", f"port-{lost}"}


def test_an_app_whose_port_was_lost_says_so_until_it_has_it_back(
    runtime: ProcessRuntime, home: Path, port: int
) -> None:
    state = runtime.deploy(exposed(port))
    runtime.supervisor.stop(NAME)
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("0.0.0.0", port))
        held.listen()
        other = runtime.deploy(exposed(free_port(), name="other"))
        assert other.health == "healthy"
        assert f"the front could not open port {port}" in runtime.current_state()["web"].message
        with pytest.raises(RuntimeFailure, match=f"port {port} is already in use by"):
            runtime.deploy(exposed(port))
    assert runtime.deploy(exposed(port)) == state
    assert answer(port) == "1"


def test_its_control_socket_and_files_are_its_owners_alone(front: Front, port: int) -> None:
    front.claim("web", Route(port))
    assert stat.S_IMODE(front._socket().stat().st_mode) == 0o600
    for path in (front._conf, front.folder / "routes" / "web.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    front.settle("web", None)
    assert not front.running()
    assert not front._supervisor.has_conf(NAME)


def test_a_route_that_was_lost_is_drift_and_is_restored_without_a_restart(
    runtime: ProcessRuntime, home: Path, port: int
) -> None:
    state = runtime.deploy(exposed(port))
    (home / "front" / "routes" / "web.json").unlink()
    assert "the front does not lead to it" in runtime.current_state()["web"].message
    assert runtime.deploy(exposed(port)) == state
    (home / "apps" / "web" / "live" / "upstream").write_text("127.0.0.1:1\n")
    assert "the address that the front leads to was changed" in runtime.current_state()["web"].message
    assert runtime.deploy(exposed(port)) == state
    assert answer(port) == "1"


def test_claims_that_make_room_are_moved_and_checking_changes_nothing(front: Front, port: int) -> None:
    front.claim("web", Route(port))
    with pytest.raises(RouteRefusedError):
        front.check("shop", Route(port))
    front.check("shop", Route(port), ["web"])
    assert front.claims() == {"web": (Route(port),)}
    front.claim("shop", Route(port), ["web"])
    assert front.claims() == {"shop": (Route(port),)}


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("shop.celeriac.io", True),
        ("SHOP.celeriac.io.", True),
        ("localhost", False),
        ("shop.localhost", False),
        ("shop", False),
        ("shop.example.com", False),
        ("printer.local", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_which_names_can_have_a_certificate(host: str, public: bool) -> None:
    assert is_public(host) is public


def test_what_cannot_be_on_one_port_is_said_with_both_sides() -> None:
    claims = {"shop": (Route(443, "shop.celeriac.io"),)}
    assert conflict("blog", Route(443, "blog.celeriac.io"), claims) == ""
    assert conflict("shop", Route(443, "shop.celeriac.io"), claims) == ""
    assert "HTTPS" in conflict("blog", Route(443, "blog.localhost"), claims)
    assert "by shop already" in conflict("blog", Route(443, "shop.celeriac.io"), claims)


def test_caddy_takes_a_configuration_with_public_local_and_no_names(tmp_path: Path) -> None:
    claims = {
        "shop": (Route(80, "shop.celeriac.io"), Route(8443, "shop.celeriac.io")),
        "blog": (Route(80, "blog.localhost"), Route(8080)),
        "rest": (Route(80),),
    }
    config = front_config(claims, admin=str(tmp_path / "s"), storage=str(tmp_path / "data"))
    servers = config["apps"]["http"]["servers"]
    assert servers.keys() == {"port-80", "port-443", "port-8080", "port-8443"}
    assert (
        servers["port-443"]["automatic_https"] == servers["port-8443"]["automatic_https"] == {"disable_redirects": True}
    )
    assert servers["port-80"]["automatic_https"] == {"disable": True}
    assert [route.get("match") for route in servers["port-80"]["routes"]] == [
        [{"host": ["blog.localhost"]}],
        [{"host": ["shop.celeriac.io"]}],
        None,
    ]
    file = tmp_path / "caddy.json"
    file.write_bytes(msgspec.json.encode(config))
    environ = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run([program(), "validate", "--config", file], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_refusal_says_what_to_do() -> None:
    denied = refusal(
        "loading new config: http app module: start: listening on :80: listen tcp :80: bind: permission denied"
    )
    assert (denied.reason, denied.message) == ("PortPrivileged", "port 80 may not be opened by this user")
    assert "ip_unprivileged_port_start=80" in denied.hint
    assert refusal("listen tcp 0.0.0.0:8080: bind: address already in use").reason == "PortTaken"
    assert refusal("something else").reason == "FrontRefused"


def test_a_caddy_that_is_too_old_gives_way_to_the_one_that_came_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "caddy"
    old.write_text("#!/bin/sh\necho v2.7.6\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert version(str(old)) == (2, 7)
    assert program() != old
    old.write_text("#!/bin/sh\necho v2.99.0 h1:x=\n")
    assert program() == old


def test_an_app_that_was_exposed_without_a_name_may_get_one(runtime: ProcessRuntime, port: int) -> None:
    spec = exposed(port)
    runtime.deploy(spec)
    runtime.upgrade(replace(spec, version="2", expose=Expose(port, "shop.localhost")), "1")
    assert answer(port, "shop.localhost") == "2"
    with pytest.raises(OSError, match="404"):
        answer(port)


CLAIM = """
import ctypes, sys
from pathlib import Path
ctypes.CDLL(None).prctl(24, 10, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE: what follows is no root for ports
from runtimes.front import Front
from runtimes.front_config import Route
from runtimes.supervisord import Supervisor
supervisor = Supervisor(Path(sys.argv[1]))
supervisor.ensure_running()
front = Front(supervisor.home, supervisor)
front.claim("web", Route(int(sys.argv[2])))
try:
    front.claim("shop", Route(81))
except Exception as error:
    print(error.reason, error.message)
print(sorted(front.claims()), front.running())
"""


@pytest.mark.skipif(
    not Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").exists()
    or int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81,
    reason="this machine lets everybody have every port",
)
def test_a_port_that_needs_privileges_is_refused_and_holds_up_no_other_route(home: Path, port: int) -> None:
    argv = [sys.executable, "-c", CLAIM, str(home), str(port)]
    done = subprocess.run(argv, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    told = ["PortPrivileged port 81 may not be opened by this user", "['web'] True"]
    assert done.stdout.splitlines() == told, done.stderr
