"""Real servers of a test's own, for what the shared one must not suffer."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import wait_for

from state.embedded import find_server


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes to be ended with the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="cel-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start_server(processes: list[subprocess.Popen[bytes]], short_folder: Path) -> Callable[..., Path]:
    """Starts a server with more options; returns its socket once it answers."""

    def start(*options: str) -> Path:
        path = short_folder / "r.sock"
        command = [str(find_server()), "--port", "0", "--unixsocket", str(path), "--dir", str(short_folder)]
        processes.append(subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_for(lambda: _answers(path))
        return path

    return start


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
