"""The values of a run: what a step is, how it is claimed, how it ended. Nothing here talks to Redis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from state.desired import Head

StepState = Literal["pending", "ready", "running", "ok", "tolerated", "failed", "superseded", "blocked"]
ENDED: frozenset[str] = frozenset({"ok", "tolerated", "failed", "superseded", "blocked"})


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work of a run: a task for a queue, about one app on one node or about none.

    `needs` are ids of steps that must go well first. `resource` is what only one step at a time may
    touch (empty: only the step itself). `payload` is small JSON, never a secret.
    """

    id: str
    task: str
    queue: str
    resource: str = ""
    app: str = ""
    node: str = ""
    action: str = ""
    digest: str = ""
    version: str = ""
    from_digest: str = ""
    from_version: str = ""
    revision: str = ""
    reason: str = ""
    needs: tuple[str, ...] = ()
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How a step ended. `blocks`: whether what needs it is blocked by a failure (else it goes on all the same)."""

    result: Literal["ok", "failed", "superseded"]
    reason: str = ""
    message: str = ""
    blocks: bool = True

    @property
    def state(self) -> str:
        """The state of the step that follows."""
        return self.result if self.result == "ok" or self.blocks else "tolerated"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step and how far it is. Times are seconds since the epoch (0: not yet)."""

    step: Step
    state: StepState
    owner: str = ""
    attempt: int = 0
    by: str = ""
    reason: str = ""
    message: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that a run answers. `request` is the id of the `sync` whose result waits for it (may be empty)."""

    trigger: str
    request: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """An open run. `open` counts the steps that have not ended."""

    id: str
    started_at: float
    open: int
    asks: tuple[Ask, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trigger(self) -> str:
        """What asked for it first."""
        return self.asks[0].trigger if self.asks else ""

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of all its requests together."""
        return merged_options(ask.options for ask in self.asks)

    @property
    def requests(self) -> tuple[str, ...]:
        """The ids of the `sync` calls whose results wait for it."""
        return tuple(dict.fromkeys(ask.request for ask in self.asks if ask.request))


@dataclass(frozen=True, slots=True)
class Requested:
    """Which run answers a request, and whether it was begun by it (else it is open, and another follows)."""

    run: str
    started: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A step that is ours to do, until its lease lapses. `token` fences what a late worker would still write.

    `desired` is the digest that Git asks for of the step's app at this moment (None: it is not in Git), `head` the
    revision in force, `suspended` whether somebody has suspended the app, or everything, for now.
    """

    run: str
    step: Step
    token: int
    attempt: int
    owner: str
    asks: tuple[Ask, ...] = ()
    desired: str | None = None
    head: Head | None = None
    suspended: bool = False

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the run."""
        return merged_options(ask.options for ask in self.asks)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a step is not ours to do. None of these is an error: a message may come twice."""

    reason: Literal["UnknownRun", "Done", "Running", "Busy", "NotReady"]


@dataclass(frozen=True, slots=True)
class Blocked:
    """A step that will not be done, since it needs what failed. `by` is the app (or step) that it waits for."""

    step: Step
    by: str
    message: str


@dataclass(frozen=True, slots=True)
class Completed:
    """What ending a step led to. `finished`: no step of the run is left open."""

    ready: tuple[Step, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found in the open run (`run` empty: none is open). `lost` were given up."""

    run: str = ""
    resend: tuple[Step, ...] = ()
    lost: tuple[Step, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a run. `done` is false when a step was added meanwhile; `next` is the run that was begun after it.

    `first` tells the call that closed it from one that came after.
    """

    done: bool
    next: str = ""
    first: bool = False


def merged_options(all_options: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The options of several requests as one: what any of them allows or forces holds.

    Booleans are or'ed, lists united; `only` (an app) is dropped unless all agree, since a request for everything
    includes it; of other values the last wins.
    """
    merged: dict[str, Any] = {}
    each = list(all_options)
    for options in each:
        for name, value in options.items():
            old = merged.get(name)
            if isinstance(value, bool) and isinstance(old, bool):
                merged[name] = old or value
            elif isinstance(value, list) and isinstance(old, list):
                merged[name] = [*old, *(item for item in value if item not in old)]
            else:
                merged[name] = value
    if len({options.get("only", "") for options in each}) > 1:
        merged.pop("only", None)
    return merged
