"""Processes of ours that nobody watches, found among real ones and ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from waiting import is_running, wait_for

from runtimes import strays
from runtimes.launching import start_ticks
from runtimes.strays import RunStamp

Start = Callable[..., subprocess.Popen[bytes]]

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
PARENT = f"import subprocess; subprocess.Popen(['sleep', '600']); {SLEEP}"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes with marks in their environment, each ready when it is returned."""
    with contextlib.ExitStack() as held:

        def begin(code: str = SLEEP, **env: str) -> subprocess.Popen[bytes]:
            argv = [sys.executable, "-I", "-S", "-c", code]
            process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE)
            held.callback(process.wait)
            held.callback(strays.end, strays.descendants([process.pid]), grace=0)
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            process.stdout.close()
            return process

        yield begin


def marks(home: Path, app: str = "web", side: str = "blue") -> dict[str, str]:
    return {"CELERIAC_HOME_ID": strays.home_id(home), "CELERIAC_APP": app, "CELERIAC_SIDE": side}


def stamp(home: Path, pid: int, ticks: int, app: str = "web", side: str = "blue", process: str = "main") -> Path:
    path = home / "apps" / app / side / "run" / process
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"pid": pid, "ticks": ticks, "digest": "r-e-d"}))
    return path


def pids(found: list[psutil.Process]) -> set[int]:
    return {process.pid for process in found}


def test_a_process_is_found_by_its_home_its_app_and_its_side(start: Start, tmp_path: Path) -> None:
    blue, green = start(**marks(tmp_path)).pid, start(**marks(tmp_path, side="green")).pid
    other = start(**marks(tmp_path, app="web-2")).pid
    start(**marks(tmp_path / "elsewhere"))
    assert pids(strays.find(tmp_path)) == {blue, green, other}
    assert pids(strays.find(tmp_path, "web")) == {blue, green}
    assert pids(strays.find(tmp_path, "web", "green")) == {green}
    assert strays.find(tmp_path, "we") == []


def test_without_proc_the_same_ones_are_found(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blue = start(**marks(tmp_path)).pid
    start(**marks(tmp_path, app="web-2"))
    is_dir = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: str(path) != "/proc" and is_dir(path))
    assert pids(strays.find(tmp_path, "web")) == {blue}


def test_one_that_hides_its_environment_is_found_by_what_the_launcher_noted(start: Start, tmp_path: Path) -> None:
    hidden = start().pid
    assert strays.find(tmp_path) == []
    stamp(tmp_path, hidden, start_ticks(hidden), side="green")
    assert pids(strays.find(tmp_path)) == pids(strays.find(tmp_path, "web", "green")) == {hidden}
    assert strays.find(tmp_path, "web", "blue") == strays.find(tmp_path, "shop") == []


def test_an_id_that_another_process_got_is_not_trusted(start: Start, tmp_path: Path) -> None:
    pid = start().pid
    for ticks in (start_ticks(pid) - 1, 0):
        stamp(tmp_path, pid, ticks)
        assert strays.find(tmp_path) == []


def test_one_that_only_waits_to_be_reaped_is_not_found(start: Start, tmp_path: Path) -> None:
    process = start(**marks(tmp_path))
    stamp(tmp_path, process.pid, start_ticks(process.pid))
    (found,) = strays.find(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not is_running(process.pid))
    assert not strays.is_alive(found)
    assert strays.find(tmp_path) == strays.pinned([process.pid]) == []
    process.wait()
    assert not strays.is_alive(found)


def test_whoever_looks_does_not_find_itself(tmp_path: Path) -> None:
    stamp(tmp_path, os.getpid(), start_ticks(os.getpid()))
    assert strays.find(tmp_path) == []


def test_a_home_is_the_same_by_every_path_that_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    known = strays.home_id(tmp_path / "home")
    assert known == strays.home_id(tmp_path / "link") == strays.home_id(tmp_path / "home" / ".." / "home")
    assert known != strays.home_id(tmp_path)
    assert strays.home_id(Path(os.fsdecode(b"/\xff")))


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"pid": 1', b"\xff", b"[]", b'{"pid": "1"}', b'{"pid": 1, "ticks": 2}']
)
def test_half_a_note_and_other_files_are_no_notes(tmp_path: Path, content: bytes) -> None:
    path = stamp(tmp_path, 7, 8)
    (path.parent / "odd").write_bytes(content)
    (path.parent / "folder").mkdir()
    (path.parent / "main.code").symlink_to("nowhere")
    side = tmp_path / "apps" / "web" / "blue"
    assert strays.stamps(side) == {"main": RunStamp(7, 8, "r-e-d")}
    assert strays.read_stamp(side, "odd") is strays.read_stamp(side, "none") is None


def test_a_note_that_was_written_over_a_longer_one_is_read(tmp_path: Path) -> None:
    path = stamp(tmp_path, 7, 8)
    path.write_bytes(path.read_bytes().ljust(500))
    found = strays.read_stamp(tmp_path / "apps" / "web" / "blue", "main")
    assert found is not None
    assert found.instance == "7-8"


def test_apps_that_are_removed_meanwhile_hinder_nobody(start: Start, tmp_path: Path) -> None:
    hidden = start().pid
    stamp(tmp_path, hidden, start_ticks(hidden), app="stays")
    (tmp_path / "apps" / "a-file").write_text("")
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            stamp(tmp_path, 1, 1, app="goes")
            shutil.rmtree(tmp_path / "apps" / "goes", ignore_errors=True)

    thread = threading.Thread(target=come_and_go)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that the two meet at every line
    thread.start()
    try:
        for _ in range(20_000):
            strays.stamps(tmp_path / "apps" / "goes" / "blue")
        assert pids(strays.find(tmp_path)) == {hidden}
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(before)


def test_whoever_heeds_is_asked_and_whoever_does_not_is_killed(start: Start) -> None:
    polite, stubborn = start(), start(STUBBORN)
    assert strays.end(strays.pinned([polite.pid, stubborn.pid]), grace=0.3) == []
    assert (polite.wait(), stubborn.wait()) == (-signal.SIGTERM, -signal.SIGKILL)
    assert strays.end([], grace=60) == []


def test_without_grace_all_are_killed_and_one_that_stands_still_too(start: Start) -> None:
    polite, still = start(), start()
    os.kill(still.pid, signal.SIGSTOP)
    assert strays.end(strays.pinned([polite.pid, still.pid]), grace=0) == []
    assert polite.wait() == still.wait() == -signal.SIGKILL


def test_all_below_a_process_are_its_descendants(start: Start) -> None:
    parent = start(PARENT)
    found = strays.descendants([parent.pid, 2**22 + 1])
    assert found[0].pid == parent.pid
    assert len(found) == 2
    assert strays.end(found, grace=0) == []
    assert strays.descendants([parent.pid]) == []


def test_what_a_process_was_started_with_is_read_where_it_can_be(start: Start) -> None:
    ours, other = start(CELERIAC_DIGEST="r-e-d", CELERIAC_PROCESS="main"), start()
    assert [strays.stamped_digest(psutil.Process(one.pid)) for one in (ours, other)] == ["r-e-d", ""]
    assert [strays.is_fork(one.pid) for one in (ours, other)] == [False, True]
    gone = psutil.Process(other.pid)
    strays.end([gone], grace=0)
    other.wait()
    assert (strays.stamped_digest(gone), strays.is_fork(other.pid)) == ("", False)
