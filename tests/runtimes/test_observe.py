"""The facts of apps are gathered from what is on disk and what lives, and read again only where that changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runtimes.applied import Applied, AppliedStore
from runtimes.facts import HealthRecord, identities
from runtimes.launching import start_ticks
from runtimes.observe import Observer
from runtimes.supervisor_rpc import ProcessInfo
from runtimes.supervisord import Supervisor

DIGEST = "r-e-d"
WEB = Applied("web", "1.0", DIGEST, "/r", {"main": ("python",)}, "n1", "ab", "/e", "", "/p", phase="running")


@pytest.fixture
def store(home: Path) -> AppliedStore:
    return AppliedStore(home)


@pytest.fixture
def observer(home: Path, store: AppliedStore) -> Observer:
    release = home / "apps" / "web" / "releases" / "1.0-r"
    release.mkdir(parents=True)
    (home / "apps" / "web" / "current").symlink_to("releases/1.0-r")
    sha256 = store.put_env("web", {})
    store.put(replace(WEB, release=str(release), env_sha256=sha256))
    return Observer(home, store, Supervisor(home))


def process(environ: dict[str, str], *, code: str = "input()") -> Iterator[ProcessInfo]:
    """A living process, as the supervisor would tell of it."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", f"print(flush=True); {code}"],
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as living:
        assert living.stdout is not None
        living.stdout.readline()
        yield ProcessInfo("web", "main", "RUNNING", living.pid, 100.0, 90.0, 0, "")


@pytest.fixture
def stamped() -> Iterator[ProcessInfo]:
    yield from process({"CELERIAC_DIGEST": DIGEST})


@pytest.fixture
def unstamped() -> Iterator[ProcessInfo]:
    yield from process({})


def test_without_a_supervisor_nothing_runs_and_that_is_said(observer: Observer, stamped: ProcessInfo) -> None:
    state = observer.all()["web"]
    assert (state.status, state.health, state.message, state.drift) == (
        "stopped", "unknown", "the supervisor is not running", "",
    )  # fmt: skip
    assert observer.one("web") == state
    assert observer.one("other") is None
    assert observer.one("web", {"main": stamped}) != state


def test_what_lives_is_what_its_own_environment_says(observer: Observer, stamped: ProcessInfo) -> None:
    state = observer.one("web", {"main": stamped})
    assert state is not None
    assert (state.status, state.health, state.pid, state.digest) == ("running", "healthy", stamped.pid, DIGEST)


def test_of_a_process_without_a_stamp_counts_what_the_launcher_noted_of_that_very_process(
    observer: Observer, store: AppliedStore, unstamped: ProcessInfo
) -> None:
    assert observer.stamped("web", unstamped) == ""
    noted = store.side_folder("web", "blue") / "run" / "main"
    noted.parent.mkdir(exist_ok=True)
    ticks = start_ticks(unstamped.pid)
    noted.write_text(json.dumps({"pid": unstamped.pid + 1, "ticks": ticks, "digest": DIGEST}))
    assert observer.stamped("web", unstamped) == ""
    noted.write_text(json.dumps({"pid": unstamped.pid, "ticks": ticks, "digest": DIGEST}))
    assert observer.stamped("web", unstamped) == DIGEST
    noted.unlink()
    assert observer.stamped("web", unstamped) == DIGEST  # a process keeps what it was started with


def test_a_process_that_is_gone_has_no_stamp(observer: Observer) -> None:
    assert observer.stamped("web", ProcessInfo("web", "main", "RUNNING", 2**22 + 1, 100.0, 90.0, 0, "")) == ""


def test_a_health_record_counts_for_the_processes_that_it_was_about(observer: Observer, stamped: ProcessInfo) -> None:
    processes = {"main": stamped}
    observer.put_record("web", HealthRecord(identities(processes), failures=9, message="500 Internal Server Error"))
    state = observer.one("web", processes)
    assert state is not None
    assert (state.health, state.message) == ("unhealthy", "500 Internal Server Error")
    anew = {"main": replace(stamped, started=200.0)}
    state = observer.one("web", anew)
    assert state is not None
    assert (state.health, state.message) == ("healthy", "")


def test_a_record_that_cannot_be_read_is_none_until_the_next(observer: Observer, home: Path) -> None:
    assert observer.record("web") is None
    observer.put_record("web", HealthRecord({}, failures=1))
    path = home / "apps" / "web" / "blue" / "health.json"
    assert observer.record("web") == HealthRecord({}, failures=1)
    path.write_text('{"processes": {')
    assert observer.record("web") is None
    observer.put_record("web", HealthRecord({}, failures=2))
    assert observer.record("web") == HealthRecord({}, failures=2)


def test_what_is_known_is_not_written_again_and_nothing_of_a_generation_that_is_gone(
    observer: Observer, home: Path
) -> None:
    observer.put_record("web", HealthRecord({}))
    path = home / "apps" / "web" / "blue" / "health.json"
    inode = path.stat().st_ino
    observer.put_record("web", HealthRecord({}))
    observer.put_record("web", HealthRecord({}), "blue")
    assert path.stat().st_ino == inode
    observer.put_record("web", HealthRecord({}), "green")
    assert not (home / "apps" / "web" / "green").exists()


@pytest.mark.parametrize(
    ("harm", "drift"),
    [
        ("rm current; ln -s elsewhere current", "the link to its release was changed"),
        ("rm current", "the link to its release was changed"),
        ('echo \'{"A": "b"}\' > blue/env', "its environment file was changed"),
        ("rm blue/env", "its environment file was changed"),
    ],
)
def test_what_somebody_changed_on_disk_is_drift(observer: Observer, home: Path, harm: str, drift: str) -> None:
    assert observer.all()["web"].drift == ""
    subprocess.run(["sh", "-c", harm], cwd=home / "apps" / "web", check=True)
    state = observer.all()["web"]
    assert (state.drift, state.status, state.message) == (drift, "failed", f"{drift}: to be restored")
