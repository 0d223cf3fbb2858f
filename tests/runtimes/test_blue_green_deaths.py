"""Whatever dies while an app is upgraded beside itself, the next one ends with one generation."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from beside import Beside, answer, exposed, free_port
from waiting import is_running, wait_for

from runtimes import private_ports
from runtimes.base import RuntimeFailure


@pytest.fixture(scope="module")
def lasting() -> Iterator[tuple[Beside, int, list[str]]]:
    """A home for several tests, of which each leaves the app running: the place, the port and the version."""
    with tempfile.TemporaryDirectory(prefix="clr-", dir="/tmp") as folder:
        place, port = Beside(Path(folder) / "home"), free_port()
        place.home.mkdir()
        try:
            place.runtime().deploy(exposed(port, "1"))
            yield place, port, ["1"]
        finally:
            place.end()


STEPS = [
    ("runtimes.switching:Switcher.build", "after", 1, "old"),
    ("runtimes.private_ports:_take", "after", 1, "old"),
    ("runtimes.applied:AppliedStore.put", "after", 1, "old"),
    ("runtimes.applied:AppliedStore.put_env", "after", 1, "old"),
    ("runtimes.supervisord:Supervisor.put", "after", 1, "old"),
    ("runtimes.supervisord:Supervisor.start", "after", 1, "old"),
    ("runtimes.starting:Starter.wait", "after", 1, "old"),
    ("runtimes.applied:AppliedStore.put_upstream", "after", 2, "old"),
    ("runtimes.applied:AppliedStore.go_live", "before", 1, "old"),
    ("runtimes.files:os.symlink", "after", 1, "old"),
    ("runtimes.applied:AppliedStore.go_live", "after", 1, "new"),
    ("runtimes.releases:switch_current", "after", 1, "new"),
    ("runtimes.blue_green:BlueGreen._drain", "before", 1, "new"),
    ("runtimes.blue_green:BlueGreen._drain", "after", 1, "new"),
    ("runtimes.supervisord:Supervisor.stop", "after", 1, "new"),
    ("runtimes.applied:AppliedStore.drop_side", "after", 1, "new"),
    ("runtimes.front:Front.settle", "after", 1, "new"),
]


@pytest.mark.parametrize(("function", "when", "nth", "in_force"), STEPS)
def test_whoever_is_killed_at_a_switch_the_next_one_ends_with_one_generation(
    lasting: tuple[Beside, int, list[str]], function: str, when: str, nth: int, in_force: str
) -> None:
    place, port, version = lasting
    old, new = version[0], str(int(version[0]) + 1)
    before = place.pids()
    place.killed_at(port, old, new, function, when, nth)
    assert answer(port) == (new if in_force == "new" else old)
    runtime = place.runtime()
    left = place.pids()
    observed = runtime.current_state()["web"]
    assert observed.version == (new if in_force == "new" else old)
    beside = place.home / "apps" / "web"
    if sum((beside / side).is_dir() for side in ("blue", "green")) > 1:
        assert (observed.status, observed.message.endswith(": to be restored")) == ("failed", True)
    state = runtime.upgrade(exposed(port, new), old)
    version[0] = new
    assert answer(port) == state.version == new
    assert (state.status, state.health) == ("running", "healthy")
    assert place.pids() == [state.pid]
    if in_force == "new":
        assert state.pid in left  # it was not started again
    assert state.pid not in before
    assert runtime.current_state() == {"web": state}
    assert sum((beside / side).is_dir() for side in ("blue", "green")) == 1
    assert not list(beside.glob("*.tmp"))
    assert place.runtime().upgrade(exposed(port, new), old) == state


def test_taking_back_an_upgrade_that_was_killed_restarts_nothing(lasting: tuple[Beside, int, list[str]]) -> None:
    place, port, version = lasting
    old, new = version[0], str(int(version[0]) + 1)
    before = place.pids()
    place.killed_at(port, old, new, "runtimes.applied:AppliedStore.go_live", "before")
    assert len(place.pids()) == 2
    state = place.runtime().deploy(exposed(port, old))
    assert place.pids() == before == [state.pid]
    assert place.runtime().current_state() == {"web": state}


@pytest.mark.parametrize(
    ("victim", "phase"),
    [
        *(("supervisor", phase) for phase in ("starting", "probing", "switching", "draining")),
        *(("front", phase) for phase in ("probing", "draining")),
        *(("old", phase) for phase in ("probing", "draining")),
        *(("new", phase) for phase in ("probing", "switching", "draining")),
    ],
)
def test_whatever_is_killed_during_a_switch_the_next_one_ends_with_one_generation(
    lasting: tuple[Beside, int, list[str]], victim: str, phase: str
) -> None:
    place, port, version = lasting
    old, new = version[0], str(int(version[0]) + 1)
    running = place.pids()

    def kill(now: str) -> None:
        if now != phase:
            return
        pids = {
            "supervisor": lambda: [int((place.home / "supervisor" / "supervisord.pid").read_text())],
            "front": lambda: place.pids("@front"),
            "old": lambda: running,
            "new": lambda: [pid for pid in place.pids() if pid not in running],
        }[victim]()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: not is_running(pid))  # type: ignore[misc]

    place.on_phase = kill
    try:
        place.runtime().upgrade(exposed(port, new), old)
    except RuntimeFailure as error:
        assert victim in {"supervisor", "front", "new"}, error  # noqa: PT017 - which of them is of interest
    finally:
        place.on_phase = lambda phase: None
    runtime = place.runtime()
    runtime.revive()
    state = runtime.upgrade(exposed(port, new), old)
    version[0] = new
    assert answer(port) == new
    assert place.pids() == [state.pid]
    assert len(place.pids("@front")) == 1
    assert runtime.current_state() == {"web": state}


def test_a_supervisor_that_died_brings_back_what_is_in_force_and_the_front(
    lasting: tuple[Beside, int, list[str]],
) -> None:
    place, port, version = lasting
    runtime = place.runtime()
    os.kill(int((place.home / "supervisor" / "supervisord.pid").read_text()), signal.SIGKILL)
    wait_for(lambda: not runtime.supervisor.running())
    runtime.revive()
    wait_for(lambda: bool(place.pids("@front")) and bool(place.pids()))
    assert answer(port) == version[0]
    assert (len(place.pids()), len(place.pids("@front"))) == (1, 1)


def _version(pid: int) -> str:
    """The version that a process was started as; empty while it is not the app yet."""
    environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((one.decode().partition("=")[2] for one in environ if one.startswith(b"CELERIAC_VERSION=")), "")


def test_a_crash_of_either_generation_brings_back_the_right_release(lasting: tuple[Beside, int, list[str]]) -> None:
    place, port, version = lasting
    old, new = version[0], str(int(version[0]) + 1)
    place.killed_at(port, old, new, "runtimes.applied:AppliedStore.go_live", "before")
    pids = place.pids()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(place.pids()) == 2 and not set(pids) & set(place.pids()))
    assert answer(port) == old
    wait_for(lambda: {_version(pid) for pid in place.pids()} == {old, new})
    place.runtime().deploy(exposed(port, old))


def test_no_port_is_kept_by_what_is_gone(lasting: tuple[Beside, int, list[str]]) -> None:
    place, _, _ = lasting
    manifests = place.home / "apps" / "web"
    owners = {path: path.read_text() for path in private_ports.folder().iterdir() if path.name.isdigit()}
    mine = [int(path.name) for path, owner in owners.items() if owner.startswith(str(manifests))]
    assert len([one for one in mine if private_ports._has(Path(owners[private_ports.folder() / str(one)]), one)]) == 1
