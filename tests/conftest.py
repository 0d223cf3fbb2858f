"""What tests of several packages need: a real Redis server, a store of a test's own in it, the public API on that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture
def settings_in_force(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings as a user's script would find them."""
    for name in [name for name in os.environ if name.startswith(("CELERIAC_", "SENTRY_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "celeriac.toml").touch()
    for name, value in {
        "REDIS_URL": store.url,
        "CELERIAC_KEY_PREFIX": store.prefix,
        "CELERIAC_CONFIG": str(tmp_path / "celeriac.toml"),
        "CELERIAC_HOME": str(tmp_path / "home"),
        "CELERIAC_REPO_URL": str(tmp_path / "repo"),
        "CELERIAC_RUNTIME": "noop",
        "CELERIAC_NODE": "n1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bench(tmp_path: Path, store: Store, settings_in_force: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A workbench, whose engine is the one that the API gives work to."""
    from workbench import Workbench

    from tasks import api, engine

    made = Workbench(tmp_path, store.url, store.prefix)
    monkeypatch.setattr(api, "_parts", {})
    monkeypatch.setattr(engine, "_engines", {os.getpid(): made.engine})
    yield made
    made.engine.store.close()
