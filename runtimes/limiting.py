"""Puts the limits of an app on the process that is about to become it: the last thing that the launcher does.

By control group where one can be had, else by rlimit and CPU affinity; it never keeps an app from starting. Used by
`runtimes.launch`, in its own process. Standard library only.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from runtimes import cgroups, overruns
from runtimes.limits import Group, GroupName, Place, far_bound, place, settings, whole_cpus


class InForce(NamedTuple):
    """What holds the process now: `limits` by name of the limit, and `why` it is not a control group."""

    limits: dict[str, str]
    why: str = ""


def put_on(manifest: Mapping[str, Any], app_folder: str, process: str, instance: str, before: str) -> InForce:
    """Put the limits of `manifest` on this process, which is `instance`, of `process`.

    What earlier processes of that name left is cleaned up first. Where `before`, the last of them, was killed for its
    memory, that is said: this output is the app's log.
    """
    memory, cpus = int(manifest.get("memory") or 0), float(manifest.get("cpus") or 0)
    wanted = [controller for controller, amount in (("memory", memory), ("cpu", cpus)) if amount]
    app, home_id = str(manifest["name"]), str(manifest["home_id"])
    home = os.path.dirname(os.path.dirname(app_folder))  # noqa: PTH120
    cgroups.clean(home, home_id, app, process)
    overrun = overruns.of(app_folder, process, before)
    if overrun is not None:
        sys.stdout.write(f"celeriac: {process} was {overrun}\n")
        sys.stdout.flush()
    groups = cgroups.groups_of() if manifest.get("cgroups", True) else []
    places = [place(controller, groups) for controller in wanted]
    if not manifest.get("cgroups", True):
        places = [one._replace(why="CELERIAC_CGROUPS is off") for one in places]
    name = GroupName(home_id, app, process, instance)
    for group in {one.group for one in places if one.group is not None}:
        places = _enter(group, places, home, name, memory, cpus)
    for one in places:
        if one.group is None:
            _fall_back(one.controller, memory, cpus, app)
    mechanisms = {"cpus" if one.controller == "cpu" else one.controller: one.mechanism for one in places}
    return InForce(mechanisms, "; ".join(dict.fromkeys(one.why for one in places if one.why)))


def _enter(group: Group, places: list[Place], home: str, name: GroupName, memory: int, cpus: float) -> list[Place]:
    """`places` as they are after `group` was tried for what is to be set there."""
    here = [one.controller for one in places if one.group == group]
    files = settings(group.version, memory=memory if "memory" in here else 0, cpus=cpus if "cpu" in here else 0.0)
    try:
        cgroups.remember(home, group.path)
        cgroups.enter(group, name, files, here)
    except OSError as error:
        why = f"{error.filename or group.path}: {error.strerror}"
        return [Place(one.controller, None, why) if one.group == group else one for one in places]
    return places


def _fall_back(controller: str, memory: int, cpus: float, app: str) -> None:
    if controller == "memory":
        bound = far_bound(memory)
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard == resource.RLIM_INFINITY or hard > bound:
            resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    elif hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, whole_cpus(cpus, sorted(os.sched_getaffinity(0)), app))
