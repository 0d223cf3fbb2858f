"""A Redis of a test's own, for what the shared one must not suffer."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from waiting import wait_for

from state.embedded import find_server
from state.store import StateUnavailable, Store


class Server:
    """One server with these options, until `kill`."""

    def __init__(self, folder: Path, *options: str) -> None:
        path = folder / "r.sock"
        self.url = f"unix://{path}"
        argv = [str(find_server()), "--port", "0", "--unixsocket", str(path), "--dir", str(folder), "--save", ""]
        self._process = subprocess.Popen([*argv, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self._process.pid
        wait_for(self._answers)

    def kill(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait()

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def _answers(self) -> bool:
        with contextlib.closing(Store(self.url)) as store, contextlib.suppress(StateUnavailable):
            store.ping()
            return True
        return False


@contextlib.contextmanager
def server(*options: str) -> Iterator[Server]:
    """A server that is ended with the test."""
    folder = Path(tempfile.mkdtemp(prefix="cel-"))  # short: a socket is made in it
    made = Server(folder, *options)
    try:
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)
