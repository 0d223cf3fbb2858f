"""Steps as Celery messages: identifiers only, with the app and revision stamped on for people who look at Flower."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from reconciler.steps import stamps
from reconciler.sweep import resend_after
from state.steps import Step


def options_of(step: Step, lease: float) -> dict[str, Any]:
    """What a message about `step` is sent with. Pure.

    It is dropped when nobody took it by the time that the sweep sends it again.
    """
    stamped = {name: value for name, value in stamps(step).items() if value}
    shown = ", ".join(f"{name}={value}" for name, value in stamped.items())
    return {
        "queue": step.queue,
        "expires": resend_after(lease),
        "argsrepr": f"({step.id})",
        "kwargsrepr": "{" + shown + "}",
        "stamped_headers": list(stamped),
        **stamped,
    }


def send(app: Any, lease: float, run: str, steps: Sequence[Step], now: float | None = None) -> None:
    """Send a message for each of `steps`, over one connection and in as few round trips as Redis takes.

    `now` is the time by the clock of Redis, which tells how long a message counts (`tasks.arrival`).
    """
    after = resend_after(lease)
    until = after if now is None else datetime.fromtimestamp(now + after, UTC)
    with app.producer_pool.acquire(block=True) as producer:
        connection = producer.connection
        try:
            with producer.batch():
                _send_each(app, producer, lease, run, steps, until)
        except (*connection.recoverable_connection_errors, *connection.recoverable_channel_errors):
            # A batch is not sent again by itself. Of messages that come twice the second is refused.
            _send_each(app, producer, lease, run, steps, until)


def _send_each(app: Any, producer: Any, lease: float, run: str, steps: Sequence[Step], until: Any) -> None:
    for step in steps:
        options = {**options_of(step, lease), "expires": until}
        app.send_task(step.task, args=(run, step.id), producer=producer, ignore_result=True, **options)
