"""This process's engine, with Celery behind it: how steps are sent, results stored, and events told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from celeriac.settings import Settings, load
from reconciler.engine import Engine
from state.events import Event
from state.runs import Letter
from state.steps import Claim, Step

_engines: dict[int, Engine] = {}


def engine() -> Engine:
    """The engine of this process; a forked child gets its own."""
    pid = os.getpid()
    if pid not in _engines:
        _engines.clear()
        _engines[pid] = _make()
    return _engines[pid]


def _make() -> Engine:
    made = Engine(load(), publish=_publish, answer=_answer)
    made.listeners.append(_tell)
    made.fault = _fault
    made.runs.letter = _letter(made.settings)
    return made


def _letter(settings: Settings) -> Letter:
    """Import Celery with the first step that is added: commands that only ask for something add none."""
    make: list[Letter] = []

    def letter(run: str, step: Step) -> tuple[str, str] | None:
        if not make:
            from tasks.celery import app
            from tasks.letters import letters

            make.append(letters(app, settings))
        return make[0](run, step)

    return letter


def _tell(event: Event) -> None:
    """Import telemetry with the first event: commands that only ask for something tell none, and start sooner."""
    from tasks import telemetry

    for listener in telemetry.listeners():
        listener(event)


def _fault(error: Exception, claim: Claim) -> None:
    from reconciler.masking import masked
    from tasks import telemetry

    step = claim.step
    telemetry.fault(error, claim, lambda text: masked(engine(), text, step.digest, step.from_digest))


def _publish(run: str, steps: Sequence[Step]) -> None:
    from tasks.celery import app
    from tasks.messages import send

    here = engine()
    send(app, here.settings.lease, run, steps, here.store.now())


def _answer(request: str, record: Mapping[str, Any]) -> None:
    from tasks.celery import app

    app.backend.mark_as_done(request, dict(record), request=None)
