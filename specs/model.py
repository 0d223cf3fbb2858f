"""What a spec says, as frozen values: the vocabulary of the whole project.

Written by the loader (`specs.loader`), read by everyone. Nothing here touches a file,
a network or a clock. Durations are seconds, sizes are bytes, commands are argv tuples.
A field that is missing in a file has its default here, so two files that mean the same
give equal values and equal digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from celeriac.windows import Window

SourceType = Literal["pypi", "git", "release"]
Strategy = Literal["restart", "blue_green", "hot_reload"]
Isolation = Literal["process", "embedded"]
Argv = tuple[str, ...]

HOOK_LOG = "hook"
"""What the output of hooks is called among the logs of an app's processes."""


@dataclass(frozen=True, slots=True)
class Icon:
    """How an app is drawn. `identicon` is generated from the app's name."""

    type: Literal["url", "base64", "identicon"] = "identicon"
    value: str = ""
    mime_type: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the app's code comes from; which fields count depends on `type` (DESIGN section 2)."""

    type: SourceType = "pypi"
    package: str = ""
    extras: tuple[str, ...] = ()
    index_url: str = ""
    url: str = ""
    ref: str = ""
    subdirectory: str = ""
    sha256: str = ""


MAIN = "main"
"""What the only process of an app is called."""


@dataclass(frozen=True, slots=True)
class Run:
    """How the app is started.

    `processes` maps a process name to its argv; it is empty when the command is the default
    (the console script named like the app) or when `app` names a hosted `module:callable`.
    A single `run.command` is the process `main`. `$NAME` in an argument is replaced from the
    app's environment at start.
    """

    processes: Mapping[str, Argv] = field(default_factory=dict)
    app: str = ""
    reload_signal: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What its processes are called."""
        unnamed = (MAIN,) if MAIN not in self.processes and (self.app or not self.processes) else ()
        return (*self.processes, *unnamed)


@dataclass(frozen=True, slots=True)
class Health:
    """How to tell that the app works. Times in seconds."""

    type: Literal["http", "tcp", "custom"] = "http"
    port: int = 8080
    path: str = "/health"
    interval: float = 30.0
    timeout: float = 5.0
    grace: float = 30.0
    threshold: int = 3
    command: Argv = ()
    check: str = ""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """How the app moves from one release to the next."""

    strategy: Strategy = "restart"


@dataclass(frozen=True, slots=True)
class Expose:
    """The public port, and host name, that the app is reached by."""

    port: int
    host: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for each process of the app: bytes of memory, number of CPUs; 0 is none."""

    memory: int = 0
    cpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Placement:
    """Which nodes run the app: by name, by label; on how many; and whether it moves when one is lost.

    Empty `nodes` means all.
    """

    nodes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 1
    failover: bool = True


@dataclass(frozen=True, slots=True)
class Hooks:
    """Commands run once per sync and app in the new release; an empty argv is none. `timeout` in seconds, for each."""

    pre_deploy: Argv = ()
    post_deploy: Argv = ()
    timeout: float = 300.0

    @property
    def names(self) -> tuple[str, ...]:
        """Those that there are."""
        return tuple(name for name in ("pre_deploy", "post_deploy") if getattr(self, name))


@dataclass(frozen=True, slots=True)
class Suspend:
    """Leave the app exactly as it is, until `until` (ISO 8601, UTC; empty: until changed)."""

    until: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AppSpec:
    """The desired state of one app, as its file in Git says.

    `path` and `revision` tell where it was read; they are not part of its meaning and not of
    its digest.
    """

    name: str
    version: str
    description: str = ""
    icon: Icon = Icon()
    source: Source = Source()
    run: Run = field(default_factory=Run)
    env: Mapping[str, str] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    health: Health | None = None
    upgrade: Upgrade = Upgrade()
    expose: Expose | None = None
    limits: Limits = Limits()
    isolation: Isolation = "process"
    placement: Placement = field(default_factory=Placement)
    hooks: Hooks = Hooks()
    prune: bool = True
    renamed_from: str = ""
    windows: tuple[Window, ...] = ()
    suspend: Suspend | None = None
    path: str = ""
    revision: str = ""
