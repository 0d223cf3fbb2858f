"""How work is asked for: a sync, or something about one app by hand. Nothing is done here; a run is begun or joined."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

from celeriac.errors import MisuseError
from reconciler.engine import Engine
from reconciler.refresh import refresh
from reconciler.steps import PULL
from reconciler.work import send_into
from state.steps import Requested, Step


def ask_for_sync(
    engine: Engine,
    trigger: str,
    *,
    request: str = "",
    force: bool = False,
    app: str | None = None,
    allow_removals: str | None = None,
    plan: str | None = None,
) -> Requested:
    """Ask for a sync: begin a run, or have one follow the run that is open, in which a newer commit wins at once.

    Raises MisuseError where `allow_removals` is no commit's id, or too short a part of one: it is remembered, and must
    not acknowledge what other commits remove.
    """
    engine.settings.require_repo()
    if trigger == "beat":
        engine.pulse.set("next_sync", engine.clock() + engine.settings.interval)
    if allow_removals:
        allow_removals = _revision(allow_removals)
        engine.holds.allow_removals(allow_removals)
    options: dict[str, Any] = {}
    if force:
        options["force"] = True
    if app:
        options["only"] = app
    if plan:
        options["plan"] = plan
    if allow_removals:
        options["allow_removals"] = allow_removals
    asked = engine.runs.request(trigger, PULL, request=request, options=options)
    if asked.started:
        engine.publish(asked.run, [PULL])
    else:
        refresh(engine, asked.run)
    return asked


def ask_for_steps(engine: Engine, steps: Sequence[Step]) -> Requested:
    """Have `steps` done now: in the open run where there is one, else in a run of their own."""
    current = engine.runs.current()
    if current is not None and send_into(engine, current.id, steps):
        return Requested(current.id, True)
    asked = engine.runs.request("hand", steps[0])
    if not asked.started:  # another run was begun in between
        return ask_for_steps(engine, steps)
    if len(steps) > 1:
        send_into(engine, asked.run, steps[1:])
    engine.publish(asked.run, steps[:1])
    return asked


def _revision(text: str) -> str:
    revision = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{7,64}", revision):
        raise MisuseError(
            f"{text!r} does not name one commit whose removals are acknowledged",
            hint="give its id, or at least the first 7 characters of it: celeriac status shows it",
        )
    return revision


def stamp() -> str:
    """Tells two askings for the same thing apart."""
    return secrets.token_hex(4)
