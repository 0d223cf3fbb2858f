"""Puts the limits of an app on the process that is about to become it: the last thing that the launcher does.

By control group where one can be had, else by rlimit and CPU affinity; it never keeps an app from starting. Used by
`runtimes.launching`, in its own process, whose output is the app's log. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Mapping, Sequence
from typing import Any

from runtimes import cgroups, overruns
from runtimes.limits import Group, GroupName, Place, far_bound, place, settings, whole_cpus


def put_on(manifest: Mapping[str, Any], app_folder: str, process: str, instance: str, before: str) -> dict[str, str]:
    """Put the limits of `manifest` on this process, which is `instance`, of `process`; what holds it, by limit.

    What earlier processes of that name left is cleaned up first. Where `before`, the last of them, was killed for its
    memory, that is said.
    """
    home = os.path.dirname(os.path.dirname(app_folder))  # noqa: PTH120
    name = GroupName(str(manifest["home_id"]), str(manifest["name"]), process, instance)
    cgroups.clean(home, name.home_id, name.app, process)
    overrun = overruns.of(app_folder, process, before)
    if overrun is not None:
        _say(f"{process} was {overrun}")
    memory, cpus = int(manifest.get("memory") or 0), float(manifest.get("cpus") or 0)
    groups = cgroups.groups_of() if manifest.get("cgroups", True) else []
    places = [place(controller, groups) for controller, amount in (("memory", memory), ("cpu", cpus)) if amount]
    return {
        "cpus" if one.controller == "cpu" else one.controller: one.mechanism
        for one in take(places, home, name, memory, cpus)
    }


def take(places: Sequence[Place], home: str, name: GroupName, memory: int, cpus: float) -> list[Place]:
    """Enter the groups of `places`; what the kernel does not take is done without. The places as they are then."""
    taken = list(places)
    for group in dict.fromkeys(one.group for one in places if one.group is not None):
        here = [one.controller for one in places if one.group == group]
        try:
            _enter(group, here, home, name, memory, cpus)
        except OSError as error:
            why = f"{error.filename or group.path}: {error.strerror}"
            _say(f"no control group for {' and '.join(here)}: {why}")
            taken = [Place(one.controller, None, why) if one.group == group else one for one in taken]
    for one in taken:
        if one.group is None:
            _fall_back(one.controller, memory, cpus, name.app)
    return taken


def _enter(group: Group, controllers: Sequence[str], home: str, name: GroupName, memory: int, cpus: float) -> None:
    files = settings(
        group.version, memory=memory if "memory" in controllers else 0, cpus=cpus if "cpu" in controllers else 0.0
    )
    cgroups.remember(home, group.path)
    cgroups.enter(group, name, files, controllers)


def _fall_back(controller: str, memory: int, cpus: float, app: str) -> None:
    if controller == "memory":
        bound = far_bound(memory)
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard == resource.RLIM_INFINITY or hard > bound:
            resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    elif hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, whole_cpus(cpus, sorted(os.sched_getaffinity(0)), app))


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(1, f"celeriac: {text}\n".encode(errors="replace"))
