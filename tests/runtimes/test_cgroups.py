"""Control groups, as this machine has them: made, entered, counted and removed, whoever dies in between."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtimes import cgroups
from runtimes.cgroups import Found
from runtimes.limits import Group, GroupName, Setting, place, settings

MEMORY = place("memory", cgroups.groups_of()).group
UNIFIED = next((g for g in cgroups.groups_of() if g.version == 2 and g.writable and g.delegated), None)
HOME_ID = f"{os.getpid():016x}"
NAME = GroupName(HOME_ID, "web", "main", "1-1")

with_memory = pytest.mark.skipif(MEMORY is None, reason="this machine gives us no memory controller")
with_v2 = pytest.mark.skipif(UNIFIED is None, reason="no v2 tree is mounted that is ours to write to")

# Enters a group, says so, uses some memory and waits; or is killed just before it would be in the group.
CHILD = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from runtimes import cgroups
from runtimes.limits import Group, GroupName, Setting
group, name, files, controllers, use, step = json.loads(sys.argv[2])
if step:
    import os, signal
    real = getattr(cgroups, step)
    def die(path, *more):
        if path.endswith("cgroup.procs"):
            os.kill(os.getpid(), signal.SIGKILL)
        real(path, *more)
    setattr(cgroups, step, die)
cgroups.enter(Group(*group), GroupName(*name), [Setting(*f) for f in files], controllers)
print("in", flush=True)
kept = b"x" * use
time.sleep(60)
"""

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path)
    cgroups.clean(str(tmp_path), HOME_ID)
    assert cgroups.present(str(tmp_path), HOME_ID) == []


@pytest.fixture
def start(home: str) -> Iterator[Start]:
    started = []

    def begin(group: Group, files: tuple[Setting, ...] = (), *, use: int = 0, dies_at: str = "") -> object:
        cgroups.remember(home, group.path)
        controllers = ["memory"] if files else []
        told = json.dumps([group, NAME, files, controllers, use, dies_at])
        root = str(Path(cgroups.__file__).parents[1])
        argv = [sys.executable, "-I", "-S", "-c", CHILD, root, told]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE)
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == (b"" if dies_at else b"in\n")
        return child

    yield begin
    for child in started:
        child.kill()
        child.communicate()


def here(home: str) -> list[Found]:
    return cgroups.present(home, HOME_ID)


@with_memory
def test_who_enters_is_in_a_group_of_its_own_with_the_limit(home: str, start: Start) -> None:
    assert MEMORY is not None
    child = start(MEMORY, settings(MEMORY.version, memory=64_000_000))
    [found] = here(home)
    assert (found.name, found.pids, found.kills, found.version) == (NAME, (child.pid,), 0, MEMORY.version)
    file = "memory.max" if MEMORY.version == 2 else "memory.limit_in_bytes"
    assert Path(found.path, file).read_text() == "64000000\n"


@with_memory
def test_a_group_in_which_something_lives_is_not_removed_and_an_empty_one_is(home: str, start: Start) -> None:
    assert MEMORY is not None
    child = start(MEMORY, settings(MEMORY.version, memory=64_000_000))
    assert cgroups.clean(home, HOME_ID) == []
    assert len(here(home)) == 1
    child.kill()
    child.wait()
    assert cgroups.clean(home, HOME_ID) == []
    assert here(home) == []


@with_memory
def test_what_the_kernel_killed_is_noted_when_its_group_goes(home: str, start: Start) -> None:
    assert MEMORY is not None
    app = Path(home, "apps", "web")
    app.mkdir(parents=True)
    (app / "applied.json").write_text(json.dumps({"memory": 64_000_000}))
    child = start(MEMORY, settings(MEMORY.version, memory=64_000_000), use=200_000_000)
    assert child.wait(30) == -signal.SIGKILL
    [overrun] = cgroups.clean(home, HOME_ID)
    assert str(overrun) == f"killed: over its memory limit of 64MB (cgroup v{MEMORY.version})"
    assert (overrun.process, overrun.instance) == ("main", "1-1")
    assert here(home) == []


@with_memory
def test_who_dies_before_it_is_in_its_group_leaves_one_that_is_removed(home: str, start: Start) -> None:
    assert MEMORY is not None
    child = start(MEMORY, settings(MEMORY.version, memory=64_000_000), dies_at="_write")
    assert child.wait(30) == -signal.SIGKILL
    assert [found.pids for found in here(home)] == [()]
    assert cgroups.clean(home, HOME_ID) == []
    assert here(home) == []


@with_memory
def test_what_the_kernel_does_not_take_leaves_nothing(home: str) -> None:
    assert MEMORY is not None
    cgroups.remember(home, MEMORY.path)
    for wrong in (Setting("memory.nonsense", "1"), Setting("cgroup.procs", "nobody")):
        with pytest.raises(OSError, match=wrong.file):
            cgroups.enter(MEMORY, NAME, [wrong], ["memory"])
    assert here(home) == []


@with_memory
def test_another_home_and_another_app_are_left_alone(home: str, start: Start) -> None:
    assert MEMORY is not None
    start(MEMORY, settings(MEMORY.version, memory=64_000_000))
    assert cgroups.present(home, "f" * 16) == []
    assert cgroups.present(home, HOME_ID, "other") == []
    assert cgroups.present(home, HOME_ID, "web", "worker") == []
    assert len(cgroups.present(home, HOME_ID, "web", "main")) == 1


@with_v2
def test_a_v2_group_is_entered_and_left_the_same_way(home: str, start: Start) -> None:
    assert UNIFIED is not None
    child = start(UNIFIED)
    [found] = here(home)
    assert (found.name, found.pids) == (NAME, (child.pid,))
    child.kill()
    child.wait()
    cgroups.clean(home, HOME_ID)
    assert here(home) == []


@with_v2
def test_what_is_in_a_v2_group_makes_room_for_those_of_apps(home: str, start: Start) -> None:
    assert UNIFIED is not None
    child = start(UNIFIED)
    [found] = here(home)
    cgroups._empty(found.path)
    beside = Path(found.path, "supervisor")
    try:
        assert (beside / "cgroup.procs").read_text().split() == [str(child.pid)]
        assert Path(found.path, "cgroup.procs").read_text() == ""
        assert cgroups.groups_of(child.pid)[0].path == found.path, "the supervisor's group is not the one to divide"
    finally:
        child.kill()
        child.wait()
        beside.rmdir()


@pytest.fixture
def divided() -> Iterator[Group]:
    """A v2 group with a controller to give to its children: whichever this machine has, the rules are those of all."""
    if UNIFIED is None or not UNIFIED.controllers:
        pytest.skip("no v2 tree with a controller is ours to write to")
    controller = UNIFIED.controllers[0]
    before = Path(UNIFIED.path, "cgroup.subtree_control").read_text().split()
    cgroups._share(UNIFIED.path, [controller])
    path = Path(UNIFIED.path, f"celeriac-test-{os.getpid()}")
    path.mkdir()
    try:
        yield Group(str(path), 2, (controller,), True)
    finally:
        for child in path.iterdir():
            if child.is_dir():
                child.rmdir()
        path.rmdir()
        if controller not in before:
            with contextlib.suppress(OSError):  # another run of these tests uses it just now
                Path(UNIFIED.path, "cgroup.subtree_control").write_text(f"-{controller}")


def test_a_v2_group_that_holds_processes_is_emptied_before_its_children_are_limited(home: str, divided: Group) -> None:
    """No process may be in a v2 group whose children have controllers: the kernel would refuse."""
    script = "import time\nprint(1, flush=True)\ntime.sleep(60)"
    ends = []
    for _ in range(2):  # a supervisor and an app without limits, both in the group that is to be divided
        child = subprocess.Popen([sys.executable, "-I", "-S", "-c", script], stdout=subprocess.PIPE)
        ends.append(child)
        Path(divided.path, "cgroup.procs").write_text(str(child.pid))
    apps = []
    for number in range(4):  # at once
        told = json.dumps([divided, NAME._replace(instance=f"{number}-1"), [], divided.controllers, 0, ""])
        argv = [sys.executable, "-I", "-S", "-c", CHILD, str(Path(cgroups.__file__).parents[1]), told]
        apps.append(subprocess.Popen(argv, stdout=subprocess.PIPE))
    try:
        for app in apps:
            assert app.stdout is not None
            assert app.stdout.readline() == b"in\n"
        cgroups.remember(home, divided.path)
        found = here(home)
        assert sorted(one.pids for one in found) == sorted((app.pid,) for app in apps)
        for one in found:
            assert any(path.name.startswith(f"{divided.controllers[0]}.") for path in Path(one.path).iterdir())
        beside = Path(divided.path, "supervisor", "cgroup.procs").read_text().split()
        assert set(beside) == {str(child.pid) for child in ends}
        assert cgroups.groups_of(ends[0].pid)[0].path == divided.path, "the next launcher divides the same group"
    finally:
        for child in (*ends, *apps):
            child.kill()
            child.communicate()
        cgroups.clean(home, HOME_ID)


@pytest.mark.parametrize(
    ("file", "text", "version"),
    [
        ("memory.events", "low 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 1\n", 2),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", 1),
    ],
)
def test_kills_are_read_where_each_version_counts_them(tmp_path: Path, file: str, text: str, version: int) -> None:
    group = tmp_path / "parent" / str(NAME)
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("7\n8\n")
    (group / file).write_text(text)
    cgroups.remember(str(tmp_path), str(group.parent))
    assert cgroups.present(str(tmp_path), HOME_ID) == [Found(str(group), NAME, (7, 8), 2, version)]


def test_where_groups_were_made_is_known_to_the_next_and_forgotten_when_gone(tmp_path: Path) -> None:
    home, place = str(tmp_path / "home"), tmp_path / "parent"
    place.mkdir()
    for _ in range(2):
        cgroups.remember(home, str(place))
    folder = tmp_path / "home" / "supervisor" / "cgroups"
    assert [path.read_text() for path in folder.iterdir()] == [str(place)]
    place.rmdir()
    assert cgroups.present(home, HOME_ID) == []
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_for_another_user_there_is_no_control_group_that_is_not_its_own() -> None:
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from runtimes import cgroups, limits\n"
        "os.setuid(65534)\n"
        "groups = cgroups.groups_of()\n"
        "print(any(group.writable for group in groups), limits.place('memory', groups).mechanism)"
    )
    argv = [sys.executable, "-I", "-S", "-c", script, str(Path(cgroups.__file__).parents[1])]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "False rlimit\n"


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    assert cgroups.groups_of(2**22 + 1) == []
