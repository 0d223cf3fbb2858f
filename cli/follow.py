"""Follows a run to its end on standard error: redrawn on a terminal, a line per step elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from celeriac.errors import CeleriacError
from cli.output import console, redraws

if TYPE_CHECKING:
    from rich.console import Console

    from cli.screens.run import StepKey

Request = Callable[[], Mapping[str, Any]]

_POLL = 0.1  # seconds: what is asked for by hand is often done within half a second


class RunLost(CeleriacError):  # noqa: N818 - an outcome, not a fault
    """The run is no longer known: Redis was emptied, or it was abandoned."""

    reason = "RunLost"


def carry_out(request: Request) -> Mapping[str, Any]:
    """Ask for work and follow it to its end; return the record of the run that did it.

    Work asked for during another run is done right after it: then both are followed.
    """
    asked = request()
    if asked.get("started", True):
        return watch(asked["run"])
    from tasks import api

    # That run had begun before we asked, and the next one is ours. Of a run that had nothing to do there is no record.
    with contextlib.suppress(RunLost):
        watch(asked["run"], until=lambda: bool(api.run_following(asked["run"])))
    return watch(api.run_following(asked["run"]) or request()["run"])


def watch(
    run: str, *, clock: Callable[[], float] = time.monotonic, until: Callable[[], bool] = lambda: False
) -> Mapping[str, Any]:
    """Show the run `run` until it has ended; return its record. Raises RunLost, soon where `until` says so."""
    from tasks import api

    screen = console(stderr=True)
    show = _Redrawn(screen) if redraws(screen) else _Lines(screen)
    began = clock()
    misses = 0
    with show:
        while True:
            record: Mapping[str, Any] | None = api.run_record(run)
            if record is not None:
                break
            current = api.run_progress(run)
            misses = 0 if current else misses + 1
            # Once is nothing: it may have ended between the two looks, or its record is about to be shown.
            if misses * _POLL > 5 or (misses > 1 and until()):
                raise RunLost(f"run {run} is no longer known", hint="see how it stands: celeriac status")
            if current:
                show.update(current, clock() - began)
            time.sleep(_POLL)
    show.end(record)
    return record


class _Lines:
    """A line for each step that begins or ends; what a failed one says, as it is, on further lines."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._seen: dict[StepKey, int] = {}

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *ended: object) -> None:
        """Nothing to put back."""

    def update(self, run: Mapping[str, Any], seconds: float) -> None:
        """Print what is new."""
        from cli.screens.run import step_lines

        for line in step_lines(self._seen, run):
            self._screen.print(line, markup=False, soft_wrap=True)

    def end(self, record: Mapping[str, Any]) -> None:
        """Print how it ended. What was told of a step is not said again."""
        from cli.screens.run import summary

        self.update(record, 0.0)
        for line in summary(record, self._seen):
            self._screen.print(line, soft_wrap=True)


class _Redrawn:
    """A small screen of the steps at work, gone when the run is."""

    def __init__(self, screen: Console) -> None:
        from rich.live import Live

        self._screen = screen
        self._live = Live(console=screen, transient=True, auto_refresh=False)

    def __enter__(self) -> _Redrawn:
        self._live.__enter__()
        return self

    def __exit__(self, *ended: Any) -> None:
        self._live.__exit__(*ended)

    def update(self, run: Mapping[str, Any], seconds: float) -> None:
        """Redraw."""
        from cli.screens.run import progress

        self._live.update(progress(run, seconds), refresh=True)

    def end(self, record: Mapping[str, Any]) -> None:
        """Print how it ended."""
        from cli.screens.run import summary

        for line in summary(record):
            self._screen.print(line)
