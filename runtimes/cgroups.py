"""The control groups of apps: found, made, entered, read and removed. The edge of `runtimes.limits`.

Each process of an app that has limits is in a group of its own, beside those of its neighbours, named by home, app,
process and the very process that runs (`limits.GroupName`): so two homes, and an old and a new release side by side,
never share one. The launcher makes it and moves itself into it before it becomes the app, so all children are in it.

    mkdir            an empty group: removed by whoever cleans next
    settings         the same
    move             the app is in it; when the app has ended it is empty, and removed by whoever cleans next

"Whoever cleans next" is the launcher for its own app and process, the stop of the app, the look at the node every few
seconds, and the start of a supervisor. The kernel removes no group that holds a living process, so cleaning can end
nothing. Where groups were made is remembered in `<home>/supervisor/cgroups`, since the next supervisor may be in
another group itself. Before a group is removed its count of memory kills is read: see `runtimes.overruns`.

Standard library only: the launcher uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from runtimes import overruns
from runtimes.limits import SUPERVISOR_GROUP, Group, GroupName, Hierarchy, Setting, counter, hierarchies
from runtimes.overruns import Overrun

_TRIES = 10


class Found(NamedTuple):
    """A control group of one of our apps, as it is there. `kills` are processes that the kernel ended in it."""

    path: str
    name: GroupName
    pids: tuple[int, ...]
    kills: int
    version: int


def groups_of(pid: int | str = "self") -> list[Group]:
    """The control groups below which those of the apps of supervisor `pid` could be made, the best first."""
    try:
        found = hierarchies(_read(f"/proc/{pid}/mountinfo"), _read(f"/proc/{pid}/cgroup"))
        return [_unified(one) if one.version == 2 else _legacy(one) for one in found]
    except OSError:  # no Linux, or gone
        return []


def enter(group: Group, name: GroupName, files: Sequence[Setting], controllers: Sequence[str]) -> str:
    """Make the group `name` below `group`, set it up by `files`, move this process into it; return its folder.

    Raises OSError where the kernel does not take that; nothing is left of it then.
    """
    if group.version == 2:
        _share(group.path, controllers)
    path = f"{group.path}/{name}"
    for attempt in range(_TRIES):
        try:
            _make(path)
            for file in files:
                _set(path, file)
            _write(f"{path}/cgroup.procs", str(os.getpid()))
            break
        except OSError:
            if not os.path.isdir(path) and attempt < _TRIES - 1:  # noqa: PTH112 - somebody cleaned before we were in it
                continue
            with contextlib.suppress(OSError):
                os.rmdir(path)  # noqa: PTH106
            raise
    return path


def remember(home: str, parent: str) -> None:
    """Note that there are groups of this home below `parent`."""
    folder = _places(home)
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
    path = os.path.join(folder, hashlib.sha256(os.fsencode(parent)).hexdigest()[:16])  # noqa: PTH118
    if not os.path.exists(path):  # noqa: PTH110
        hidden = f"{path}.{os.getpid()}"
        _write(hidden, parent, os.O_CREAT | os.O_TRUNC)
        os.replace(hidden, path)  # noqa: PTH105


def present(home: str, home_id: str, app: str = "", process: str = "") -> list[Found]:
    """The control groups of this home's apps that are there, of `app` and `process` alone where given."""
    return [
        found
        for parent in _parents(home)
        for found in _children(parent)
        if found.name.home_id == home_id and app in ("", found.name.app) and process in ("", found.name.process)
    ]


def members(path: str) -> tuple[int, ...]:
    """The processes in the control group `path`; none when it is gone."""
    return tuple(map(int, _read_or_empty(f"{path}/cgroup.procs").split()))


def clean(home: str, home_id: str, app: str = "", process: str = "") -> list[Overrun]:
    """Remove the control groups in which nothing lives, noting those in which memory ran out; return these."""
    noted = []
    for found in present(home, home_id, app, process):
        if found.pids:
            continue
        overrun = overrun_in(home, found)
        try:
            os.rmdir(found.path)  # noqa: PTH106
        except OSError:  # somebody else did, or a process is in it again
            continue
        with contextlib.suppress(OSError):  # a full disk: not known, but gone
            if overrun is not None and overruns.note(_app_folder(home, found.name.app), overrun):
                noted.append(overrun)
    return noted


def overrun_in(home: str, found: Found) -> Overrun | None:
    """What the kernel did in a control group of ours; None when nothing was killed in it."""
    if not found.kills:
        return None
    name = found.name
    limit = _limit_of(_app_folder(home, name.app))
    return Overrun(name.process, name.instance, time.time(), limit, f"cgroup v{found.version}")


def _children(parent: str) -> Iterator[Found]:
    try:
        entries = os.listdir(parent)  # noqa: PTH208
    except OSError:  # gone, with all that was below
        return
    for entry in entries:
        name = GroupName.parse(entry)
        path = f"{parent}/{entry}"
        if name is None:
            continue
        pids = members(path)
        kills, version = _kills(path)  # in this order: where nothing lives any more, it grows no more
        yield Found(path, name, pids, kills, version)


def _kills(path: str) -> tuple[int, int]:
    """How many processes the kernel ended for their memory in a group, and the version of its tree."""
    for version, file in ((2, "memory.events"), (1, "memory.oom_control")):
        with contextlib.suppress(OSError):
            return counter(_read(f"{path}/{file}"), "oom_kill"), version
    return 0, 1


def _parents(home: str) -> list[str]:
    """Where groups of this home were made; what is gone is forgotten."""
    found = []
    folder = _places(home)
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir(folder):  # noqa: PTH208
            path = os.path.join(folder, entry)  # noqa: PTH118
            with contextlib.suppress(OSError):
                parent = _read(path)
                if os.path.isdir(parent):  # noqa: PTH112
                    found.append(parent)
                elif "." not in entry:
                    os.unlink(path)  # noqa: PTH108
    return found


def _unified(tree: Hierarchy) -> Group:
    """The group of v2 to divide: our own, or the one above where we are in its group for the supervisor."""
    path = tree.own
    if os.path.basename(path) == SUPERVISOR_GROUP and path != tree.mount:  # noqa: PTH119
        path = os.path.dirname(path)  # noqa: PTH120
    controllers = tuple(_read_or_empty(f"{path}/cgroup.controllers").split())
    writable = _may_write(path) and _may_write(f"{path}/cgroup.procs") and _may_write(f"{path}/cgroup.subtree_control")
    return Group(path, 2, controllers, writable, writable and _delegated(path, tree.mount))


def _legacy(tree: Hierarchy) -> Group:
    """A group of v1: there everybody who may write may divide."""
    return Group(tree.own, 1, tree.controllers, _may_write(tree.own) and _may_write(f"{tree.own}/cgroup.procs"))


def _delegated(path: str, mount: str) -> bool:
    """Whether a v2 group is ours alone to divide, by systemd's mark, or since there is nobody above it.

    Before its version 252 systemd marks groups for root to read only; those of a service that runs as another user
    are that user's then.
    """
    if path == mount:  # the real root, or that of a container
        return True
    for mark in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError, AttributeError):
            return os.getxattr(path, mark) == b"1"
    owner = os.stat(path).st_uid  # noqa: PTH116
    return owner != 0 and owner == os.geteuid() and "/user@" not in path


def _share(path: str, controllers: Sequence[str]) -> None:
    """Let the children of a v2 group have `controllers`. A group that does must hold no processes of its own.

    So what is in it goes to a group for the supervisor beside those of the apps; only the real root may keep them.
    Several launchers may do this at once.
    """
    for attempt in range(_TRIES):
        enabled = _read(f"{path}/cgroup.subtree_control").split()
        missing = [controller for controller in controllers if controller not in enabled]
        if not missing:
            return
        if os.path.exists(f"{path}/cgroup.type"):  # noqa: PTH110 - not the real root
            _empty(path)
        try:
            _write(f"{path}/cgroup.subtree_control", " ".join(f"+{controller}" for controller in missing))
        except OSError:  # busy: a process came into it meanwhile
            if attempt == _TRIES - 1:
                raise
            time.sleep(0.01)


def _empty(path: str) -> None:
    beside = f"{path}/{SUPERVISOR_GROUP}"
    for pid in _read(f"{path}/cgroup.procs").split():
        _make(beside)
        with contextlib.suppress(ProcessLookupError):  # it has ended
            _write(f"{beside}/cgroup.procs", pid)


def _make(path: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)  # noqa: PTH102


def _set(path: str, setting: Setting) -> None:
    try:
        _write(f"{path}/{setting.file}", setting.value)
    except OSError:
        if setting.required or not os.path.isdir(path):  # noqa: PTH112
            raise


def _limit_of(app_folder: str) -> int:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return int(json.loads(_read(os.path.join(app_folder, "applied.json"))).get("memory") or 0)  # noqa: PTH118
    return 0


def _app_folder(home: str, app: str) -> str:
    return os.path.join(home, "apps", app)  # noqa: PTH118


def _places(home: str) -> str:
    return os.path.join(home, "supervisor", "cgroups")  # noqa: PTH118


def _may_write(path: str) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
        return file.read()


def _read_or_empty(path: str) -> str:
    try:
        return _read(path)
    except OSError:
        return ""


def _write(path: str, text: str, flags: int = 0) -> None:
    """One write, as the kernel wants it for these files. Creates nothing unless told by `flags`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
    try:
        os.write(descriptor, os.fsencode(text))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(descriptor)
