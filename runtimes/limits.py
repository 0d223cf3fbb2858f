"""What `limits.memory` and `limits.cpus` come to on a machine: which mechanism, and what it is told. Pure.

Standard library only, since the launcher (`runtimes.launching`) uses it before it becomes the app. What is found on the
machine comes from `runtimes.cgroups`, as values. Memory and CPUs are decided one by one, since a machine may have the
one controller and not the other:

    memory   cgroup v2 | cgroup v1 | rlimit     rlimit: a far bound, and `runtimes.memory_watch` ends what is over
    cpus     cgroup v2 | cgroup v1 | affinity   affinity: whole CPUs, rounded up

A control group counts only where it is ours to divide: writable, and in v2 delegated to us besides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

RLIMIT = "rlimit"
AFFINITY = "affinity"
SUPERVISOR_GROUP = "supervisor"
"""The group beside those of the apps that holds what was in the parent before (DelegateSubgroup= of our unit)."""

_NAMES = {1: "cgroup v1", 2: "cgroup v2"}
_FALLBACK = {"memory": RLIMIT, "cpu": AFFINITY}
_PERIOD = 100_000  # microseconds; the kernel's own default
_LEAST_QUOTA = 1_000  # the least that the kernel takes
_STACKS = 512 * 2**20
_GROUP_NAME = re.compile(r"celeriac-([0-9a-f]+)-([a-z][a-z0-9_-]*)\.(.+)\.(\d+-\d+)", re.ASCII)


class Hierarchy(NamedTuple):
    """A mounted tree of control groups. `own` is the folder of the group that the process is in."""

    version: int
    controllers: tuple[str, ...]
    mount: str
    own: str


class Group(NamedTuple):
    """A control group below which those of apps could be made, as it was found.

    `controllers` are those that it could give to its children. `delegated`: nobody else manages what is below it.
    """

    path: str
    version: int
    controllers: tuple[str, ...]
    writable: bool
    delegated: bool = True


class Place(NamedTuple):
    """Where one controller is set: in a group below `group`, or, where that is None, nowhere, and `why` not."""

    controller: str
    group: Group | None
    why: str = ""

    @property
    def mechanism(self) -> str:
        """What the state shows."""
        return _FALLBACK[self.controller] if self.group is None else _NAMES[self.group.version]


class Setting(NamedTuple):
    """A file of a control group and what is written to it. Kernels lack those that are not `required`."""

    file: str
    value: str
    required: bool = True


class GroupName(NamedTuple):
    """Whose control group it is. `instance` is one living process, told apart from a later one with the same id."""

    home_id: str
    app: str
    process: str
    instance: str

    def __str__(self) -> str:
        return f"celeriac-{self.home_id}-{self.app}.{self.process}.{self.instance}"

    @classmethod
    def parse(cls, text: str) -> GroupName | None:
        """The name that `str` made; None for any other."""
        match = _GROUP_NAME.fullmatch(text)
        return cls(*match.groups()) if match else None


def hierarchies(mountinfo: str, membership: str) -> list[Hierarchy]:
    """The trees of control groups that a process sees, from its `mountinfo` and `cgroup` in /proc; v2 first.

    One that shows no part that the process is in, as a bind mount of another group does, is left out.
    """
    paths: dict[str, str] = {}
    for line in membership.splitlines():
        _, names, belongs = line.split(":", 2)
        paths.update(dict.fromkeys(names.split(","), belongs))
    found = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        if not separator or not after.startswith(("cgroup ", "cgroup2 ")):
            continue
        root, mount = (_unescape(field) for field in before.split()[3:5])
        version = 2 if after.startswith("cgroup2 ") else 1
        options = after.split()[2].split(",")
        controllers: tuple[str, ...] = () if version == 2 else tuple(option for option in options if option in paths)
        path = paths.get("" if version == 2 else next(iter(controllers), "-"))
        own = _below(path, root) if path is not None else None
        if own is not None:
            found.append(Hierarchy(version, controllers, mount, f"{mount}{own}"))
    return sorted(found, key=lambda one: -one.version)


def place(controller: str, groups: Iterable[Group]) -> Place:
    """Where `controller` (memory, cpu) is set: in the first of `groups` that can; `why` says what they lack."""
    reasons = []
    for group in groups:
        if controller not in group.controllers:
            continue
        if not group.writable:
            reasons.append(f"{group.path} is not writable")
        elif not group.delegated:
            reasons.append(f"{group.path} is not delegated")
        else:
            return Place(controller, group)
    return Place(controller, None, "; ".join(reasons) or f"no control group has the {controller} controller")


def settings(version: int, *, memory: int = 0, cpus: float = 0.0) -> tuple[Setting, ...]:
    """What is written to the files of an app's control group, in this order; 0 is no limit."""
    files: list[Setting] = []
    if memory and version == 2:
        files += [
            Setting("memory.max", str(memory)),
            Setting("memory.swap.max", "0", required=False),
            Setting("memory.oom.group", "1", required=False),
        ]
    elif memory:
        files += [
            Setting("memory.limit_in_bytes", str(memory)),
            Setting("memory.memsw.limit_in_bytes", str(memory), required=False),
        ]
    quota = max(int(cpus * _PERIOD), _LEAST_QUOTA)
    if cpus and version == 2:
        files.append(Setting("cpu.max", f"{quota} {_PERIOD}"))
    elif cpus:
        files += [Setting("cpu.cfs_period_us", str(_PERIOD)), Setting("cpu.cfs_quota_us", str(quota))]
    return tuple(files)


def far_bound(memory: int) -> int:
    """The RLIMIT_DATA of a process whose memory is watched: where it ends that runs away between two looks.

    It counts what may be written, used or not, and each thread's stack in full: so it is far above the limit itself.
    """
    return 2 * memory + _STACKS


def whole_cpus(cpus: float, available: Sequence[int], app: str) -> set[int]:
    """The CPUs that `app` is kept to, rounded up. Apps start at different ones, so that not all share the first."""
    count = min(len(available), max(1, -int(-cpus // 1)))
    first = sum(app.encode()) % len(available)
    return {available[(first + i) % len(available)] for i in range(count)}


def size_text(size: int) -> str:
    """`size` in bytes as people write it in a spec: 64MB, 1.5GiB."""
    for unit, factor in (("GiB", 2**30), ("GB", 10**9), ("MiB", 2**20), ("MB", 10**6), ("KiB", 2**10), ("KB", 10**3)):
        if size >= factor and (size * 10) % factor == 0:
            return f"{size / factor:.1f}".removesuffix(".0") + unit
    return f"{size}B"


def counter(text: str, name: str) -> int:
    """The number after `name` in a file of lines such as `oom_kill 3`; 0 without one."""
    match = re.search(rf"(?m)^{re.escape(name)} (\d+)$", text)
    return int(match[1]) if match else 0


def _below(path: str, root: str) -> str | None:
    """`path` as seen below a mount whose root is `root`; None when it is not below."""
    if ".." in path.split("/"):
        return None
    inside = path if root == "/" else path.removeprefix(root)
    if root != "/" and path != root and not path.startswith(f"{root}/"):
        return None
    return inside.rstrip("/")


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
