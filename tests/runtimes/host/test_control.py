"""The control socket: who may use it, what it answers, and what host code may import."""

from __future__ import annotations

import ast
import json
import socket
import stat
import sys
from pathlib import Path

import pytest
from hosting import Hosts

import runtimes.host
from runtimes.host.unixsocket import address
from runtimes.host_client import HostClient, HostGone, HostRefused, running_digest

FOLDER = Path(runtimes.host.__file__).parent
SERVERS = {"uvicorn", "hypercorn", "granian", "gunicorn", "waitress"}


def test_only_the_owner_may_use_it(hosts: Hosts) -> None:
    host = hosts.start(hosts.release("1.0"))
    assert stat.S_IMODE((host.folder / "run" / "main.sock").stat().st_mode) == 0o600


def test_nonsense_is_answered_and_the_connection_goes_on(hosts: Hosts) -> None:
    host = hosts.start(hosts.release("1.0"))
    with host.client() as client:
        for command, fields in (("nothing", {}), ("suspend", {"no": 1}), ("upgrade", {}), ("reconfigure", {})):
            with pytest.raises(HostRefused) as refused:
                client.ask(command, **fields)
            assert refused.value.reason == "BadMessage"
        assert client.ask("status")["version"] == "1.0"
    plain = socket.socket(socket.AF_UNIX)
    plain.connect(str(host.folder / "run" / "main.sock"))
    plain.sendall(b"[]\n{\n")
    with plain.makefile() as lines:
        assert [json.loads(lines.readline())["reason"] for _ in range(2)] == ["BadMessage"] * 2
    plain.close()


def test_an_upgrade_needs_a_suspension_and_a_release(hosts: Hosts) -> None:
    host = hosts.start(hosts.release("1.0"))
    with pytest.raises(HostRefused) as refused:
        host.ask("upgrade", release=str(host.folder), version="2", digest="2")
    assert refused.value.reason == "NotSuspended"
    with pytest.raises(HostRefused) as refused:
        host.ask("suspend", release=str(host.folder / "nowhere"))
    assert refused.value.reason == "NoRelease"


def test_a_socket_of_another_process_is_not_spoken_to(hosts: Hosts) -> None:
    host = hosts.start(hosts.release("1.0"))
    with pytest.raises(HostGone, match=f"belongs to process {host.pid}"):
        HostClient(host.folder, "main", host.pid + 1)
    assert running_digest(host.folder, "main", host.pid) == "1.0"
    assert running_digest(host.folder, "main", host.pid + 1) == ""
    host.process.kill()
    host.process.wait()
    assert running_digest(host.folder, "main", host.pid) == ""


def test_a_path_too_long_for_a_socket_is_reached_through_its_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    (deep / "releases").mkdir(parents=True)
    hosts = Hosts(deep)
    try:
        host = hosts.start(hosts.release("1.0"))
        assert host.ask("status")["version"] == "1.0"
    finally:
        hosts.end()
    assert address(Path("/short/main.sock"), 3) == "/short/main.sock"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_the_host_imports_the_standard_library_and_its_own_folder_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {str(node.module).partition(".")[0]}
        else:
            assert getattr(node, "level", 0) <= 1, ast.unparse(node)
            continue
        allowed = set(sys.stdlib_module_names) | (SERVERS if path.name in {"servers.py", "guest_servers.py"} else set())
        assert names <= allowed, ast.unparse(node)


def test_an_app_may_have_modules_named_like_the_hosts(hosts: Hosts) -> None:
    files = {
        "main.py": "import control, door, guest, importlib.util\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] != 'http': raise RuntimeError\n"
        "    body = str([control.X, door.X, guest.X, importlib.util.find_spec('runtimes') is None]).encode()\n"
        "    await send({'type': 'http.response.start', 'status': 200,"
        " 'headers': [(b'content-length', str(len(body)).encode())]})\n"
        "    await send({'type': 'http.response.body', 'body': body})\n",
        **{f"{name}.py": "X = 'mine'\n" for name in ("control", "door", "guest")},
    }
    from hosting import request

    host = hosts.start(hosts.release("1.0", files), target="main:app")
    assert request(host.port)[2] == b"['mine', 'mine', 'mine', True]"
