"""The protocol of DESIGN section 4: how an app runs. A runtime of your own needs only this page.

The reconciler calls a runtime; a runtime calls nobody back but through its `RuntimeContext`.
Whatever `runtimes.testing` asks of a runtime is promised by every built-in one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from celeriac.errors import CeleriacError
from specs.appstate import AppState
from specs.model import AppSpec

__all__ = ["AppSpec", "AppState", "Runtime", "RuntimeContext", "RuntimeFailure", "Superseded"]


class RuntimeFailure(CeleriacError):  # noqa: N818 - the name that DESIGN section 4 gives it
    """An app could not be brought to, or kept in, its desired state on this node.

    `step` is one of build, start, health, stop, reconfigure, remove; `output` the last lines that the
    app or the tool printed.
    """

    reason = "RuntimeFailure"

    def __init__(
        self,
        app: str,
        step: str,
        message: str,
        *,
        output: Sequence[str] = (),
        reason: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, reason=reason, hint=hint)
        self.app = app
        self.step = step
        self.output = tuple(output)

    def __str__(self) -> str:
        lines = [f"{self.app}: failed at {self.step}: {self.message}", *(f"  {line}" for line in self.output)]
        return "\n".join(lines + ([f"  {self.hint}"] if self.hint else []))


class Superseded(CeleriacError):  # noqa: N818 - an outcome, not a fault
    """The work was given up at a safe point because a newer desired state waits."""

    reason = "Superseded"


@runtime_checkable
class Runtime(Protocol):
    """Brings apps of one node to their specs. Every method is idempotent and may be repeated after a crash.

    deploy, upgrade and reconfigure return when the app is running and healthy (`AppState.health`),
    or raise RuntimeFailure; upgrade leaves rolling back to its caller, who calls
    `upgrade(old_spec, new_version)`. remove returns when nothing of the app runs; unknown names are fine.
    current_state observes, in one go, and never changes anything.
    """

    def deploy(self, spec: AppSpec) -> AppState: ...

    def upgrade(self, spec: AppSpec, old_version: str) -> AppState: ...

    def reconfigure(self, spec: AppSpec) -> AppState: ...

    def remove(self, name: str) -> None: ...

    def current_state(self) -> dict[str, AppState]: ...


def _no_build(spec: AppSpec) -> Path:
    raise RuntimeFailure(spec.name, "build", "this runtime was given nothing to build releases with")


def _declared_processes(spec: AppSpec, release: Path) -> Mapping[str, tuple[str, ...]]:
    """The processes that the spec spells out, else the one command that DESIGN section 2 says."""
    if spec.run.processes:
        return spec.run.processes
    if spec.run.app:
        raise RuntimeFailure(
            spec.name,
            "start",
            f"this runtime was given nothing to host run.app {spec.run.app!r} with",
            hint="set run.command to a server that serves it",
        )
    script = release / "venv" / "bin" / spec.name
    if script.is_file():
        return {"main": (str(script),)}
    return {"main": (str(release / "venv" / "bin" / "python"), "-m", spec.name.replace("-", "_"))}


@dataclass(frozen=True, slots=True)
class RuntimeContext:
    """What a runtime is made with: `MyRuntime(context)`.

    `build` returns the complete release folder of a spec, building it when absent. `resolve` gives
    the argv of each process of a spec in its release folder. `report` tells
    the phase the work is in: fetching, building, stopping, starting, probing. `cancelled` is true when a
    newer desired state waits: a long wait should then raise Superseded. `tell` makes an event (DESIGN section 7) of
    something that happened to an app: its name, the app's spec, and what else there is to know, nothing of it secret.
    `cgroups` is false where apps are to be held to their limits without control groups.
    """

    home: Path
    node: str
    build: Callable[[AppSpec], Path] = _no_build
    report: Callable[[str], None] = lambda phase: None
    cancelled: Callable[[], bool] = lambda: False
    keep_releases: int = 3
    resolve: Callable[[AppSpec, Path], Mapping[str, tuple[str, ...]]] = _declared_processes
    tell: Callable[[str, AppSpec, Mapping[str, Any]], None] = lambda name, spec, extra: None
    cgroups: bool = True
