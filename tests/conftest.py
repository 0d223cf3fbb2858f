"""What tests of several packages need: a real Redis server, and a store of a test's own in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_for

from state.embedded import find_server
from state.store import StateUnavailable, Store


def _answers(url: str) -> bool:
    store = Store(url)
    try:
        store.ping()
    except StateUnavailable:
        return False
    finally:
        store.close()
    return True


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder() -> Iterator[None]:
    """What is left in the folder for temporary files by processes that tests kill goes with the last test."""
    before = os.environ.get("TMPDIR")
    folder = tempfile.mkdtemp(prefix="clt-", dir="/tmp")  # short: sockets are made in it
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = None
        os.environ.pop("TMPDIR") if before is None else os.environ.update(TMPDIR=before)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_url(_own_temporary_folder: None) -> Iterator[str]:
    """The address of a real server, one for each pytest process."""
    folder = Path(tempfile.mkdtemp(prefix="celeriac-redis-"))
    path = folder / "r.sock"
    server = subprocess.Popen(
        [str(find_server()), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"unix://{path}"
    try:
        wait_for(lambda: _answers(url))
        yield url
    finally:
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        shutil.rmtree(folder)


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    """A store whose keys no other test has."""
    store = Store(redis_url, prefix=f"test-{uuid.uuid4().hex[:8]}")
    yield store
    keys = list(store.client.scan_iter(f"{store.key('')}*", count=1000))
    if keys:
        store.client.unlink(*keys)
    store.close()
