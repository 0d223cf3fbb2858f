"""What the supervisor runs in the place of a guest, with a host that is this test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hosting import free_port
from waiting import wait_for

from runtimes.host.unixsocket import listen

ROOT = Path(__file__).parents[3]
RUN = "import sys; from runtimes.host import attendant; attendant._PATIENCE = 0.2; attendant.main(sys.argv[1:])"


@dataclass
class Scene:
    """A folder as an app has it, and the socket of the shared host."""

    folder: Path
    port: int = field(default_factory=free_port)
    listener: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, **environ: str) -> subprocess.Popen[str]:
        """An attendant."""
        given = {
            "CELERIAC_ENV_FILE": str(self.folder / "env.json"), "CELERIAC_PROCESS": "main",
            "CELERIAC_GUESTS": str(self.folder / "control.sock"), "PORT": str(self.port), "TOKEN": "hunter2", **environ,
        }  # fmt: skip
        argv = [sys.executable, "-c", RUN, "--servers", "uvicorn,hypercorn", "shop.web:app"]
        child = subprocess.Popen(
            argv, cwd=ROOT, env={**os.environ, **given}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.children.append(child)
        return child

    def accept(self) -> tuple[socket.socket, dict[str, Any], list[int]]:
        """What an attendant says and passes to its host."""
        connection, _ = self.listener.accept()
        connection.settimeout(20)
        content, descriptors, _, _ = socket.recv_fds(connection, 65536, 3)
        while not content.endswith(b"\n"):
            content += connection.recv(65536)
        return connection, json.loads(content), list(descriptors)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "env.json").write_text(json.dumps({"TOKEN": "hunter2"}))
    made.listener.settimeout(20)
    listen(made.listener, tmp_path / "control.sock")
    yield made
    made.listener.close()
    for child in made.children:
        child.kill()
        child.communicate()


def ended(child: subprocess.Popen[str]) -> tuple[int, str]:
    _, error = child.communicate(timeout=20)
    return child.returncode, error.strip()


def test_it_passes_what_the_guest_is_reached_by_and_no_value_of_its_environment_file(scene: Scene) -> None:
    child = scene.start()
    connection, said, descriptors = scene.accept()
    assert (said["target"], said["servers"], said["run"]) == (
        "shop.web:app", "uvicorn,hypercorn", str(scene.folder / "run"),
    )  # fmt: skip
    assert "TOKEN" not in said["variables"]
    assert "hunter2" not in json.dumps(said)
    with socket.socket(fileno=descriptors[0]) as listener, socket.create_connection(("127.0.0.1", scene.port)):
        assert listener.getsockname() == ("127.0.0.1", scene.port)
    assert (scene.folder / "run" / "main.sock").stat().st_mode & 0o777 == 0o600
    for descriptor in descriptors[1:]:
        os.close(descriptor)
    connection.sendall(b'{"message": "KeyError ended it"}\n')
    assert ended(child) == (1, "celeriac: KeyError ended it")
    connection.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b'{"message": ""}\n', "the guest ended by itself"),
        (b'{"mess', "the shared host process ended"),
        (b"", "the shared host process ended"),
    ],
)
def test_it_ends_with_an_error_when_the_guest_or_the_host_does(scene: Scene, answer: bytes, told: str) -> None:
    child = scene.start()
    connection, _, descriptors = scene.accept()
    connection.sendall(answer)
    connection.close()
    assert ended(child) == (1, f"celeriac: {told}")
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_told_to_stop_tells_the_host_and_ends_well(scene: Scene, number: signal.Signals) -> None:
    child = scene.start()
    connection, _, descriptors = scene.accept()
    for descriptor in descriptors:
        os.close(descriptor)
    wait_for(lambda: _catches(child.pid, signal.SIGTERM, signal.SIGINT))
    child.send_signal(number)
    assert connection.recv(100) == b'{"command": "stop"}\n'
    connection.sendall(b'{"message": ""}\n')
    assert ended(child) == (0, "")
    connection.close()


def test_a_host_that_is_not_there_is_named_with_its_log(scene: Scene) -> None:
    code, said = ended(scene.start(CELERIAC_GUESTS=str(scene.folder / "nowhere" / "control.sock")))
    assert (code, said) == (1, "celeriac: the shared host process does not answer: see the log @guests.log")


@pytest.mark.parametrize("port", ["", "eighty"])
def test_an_app_without_a_port_says_how_to_give_it_one(scene: Scene, port: str) -> None:
    code, said = ended(scene.start(PORT=port))
    assert code == 1
    assert "give it expose.port, a health.port, or PORT in env" in said


def test_a_port_that_is_taken_is_named(scene: Scene) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert ended(scene.start(PORT=str(port))) == (
            1, f"celeriac: port {port} cannot be listened on: Address already in use",
        )  # fmt: skip


def _catches(pid: int, *numbers: signal.Signals) -> bool:
    """Whether a process has handlers of its own for these."""
    caught = int(Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0], 16)
    return all(caught >> (number - 1) & 1 for number in numbers)
