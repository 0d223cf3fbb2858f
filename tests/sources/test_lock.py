"""The lock between builders."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from celeriac.process import CommandCancelledError
from sources.failure import BuildFailed
from sources.lock import locked

HOLDER = """
import sys, time
from pathlib import Path
from sources.lock import locked
with locked(Path(sys.argv[1]), deadline=time.monotonic() + 10):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_taken_by_one_at_a_time(tmp_path: Path) -> None:
    inside: list[str] = []

    def hold(name: str) -> None:
        with locked(tmp_path / "a.lock", deadline=time.monotonic() + 20):
            inside.append(f"{name} in")
            inside.append(f"{name} out")

    threads = [threading.Thread(target=hold, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inside) == 8
    assert all(a.split()[0] == b.split()[0] for a, b in zip(inside[::2], inside[1::2], strict=True))


def test_waiting_ends_at_the_deadline_and_may_be_tried_again(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "a.lock", deadline=time.monotonic() + 10),
        pytest.raises(BuildFailed) as caught,
        locked(tmp_path / "a.lock", deadline=time.monotonic() + 0.1),
    ):
        raise AssertionError
    assert caught.value.retryable


def test_waiting_ends_when_it_is_no_longer_wanted(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "a.lock", deadline=time.monotonic() + 10),
        pytest.raises(CommandCancelledError),
        locked(tmp_path / "a.lock", deadline=time.monotonic() + 10, cancelled=lambda: True),
    ):
        raise AssertionError


def test_a_killed_holder_holds_no_longer(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "a.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
        with locked(tmp_path / "a.lock", deadline=time.monotonic() + 20):
            pass
    finally:
        holder.kill()
        holder.communicate()
