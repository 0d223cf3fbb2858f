"""Messages about steps made ahead, as the very text that kombu puts on a Redis list.

A step that ends makes others ready, and Redis itself sends the messages about those in the same moment: nothing is
lost between the two, and no worker spends time on it. kombu makes the first message for each task and queue, on a
broker in memory, with all that Celery's own settings say; those after it differ in their identifiers and stamps alone.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec
from kombu.connection import Connection
from kombu.messaging import Producer

from celeriac.settings import Settings
from reconciler.sweep import resend_after
from state.steps import Step
from tasks.messages import options_of

_BODY_TAIL = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'


class Letters:
    """Makes messages for workers of `app` that drop them after `lease` says."""

    def __init__(self, app: Any, lease: float) -> None:
        self._app = app
        self._lease = lease
        self._prefix = app.conf.broker_transport_options.get("global_keyprefix", "")
        self._expires = f"@expires:{resend_after(lease):.0f}@"
        self._drafts: dict[tuple[str, str], dict[str, Any]] = {}

    def make(self, run: str, step: Step) -> tuple[str, str]:
        """The Redis list of the step's queue, and the message about the step."""
        draft = self._draft(step)
        options = options_of(step, self._lease)
        id_ = str(uuid4())
        headers = {
            **draft["headers"],
            "id": id_,
            "root_id": id_,
            "parent_id": None,
            "expires": self._expires,
            "argsrepr": options["argsrepr"],
            "kwargsrepr": options["kwargsrepr"],
            "stamped_headers": options["stamped_headers"],
            "stamps": {name: options[name] for name in options["stamped_headers"]},
        }
        properties = {**draft["properties"], "correlation_id": id_, "delivery_tag": str(uuid4())}
        body = base64.b64encode(f"[{json.dumps([run, step.id])}, {{}}, {_BODY_TAIL}]".encode()).decode()
        message = {**draft, "body": body, "headers": headers, "properties": properties}
        return self._prefix + step.queue, msgspec.json.encode(message).decode()

    def _draft(self, step: Step) -> dict[str, Any]:
        """A message like the one about `step`."""
        key = (step.task, step.queue)
        if key not in self._drafts:
            self._drafts[key] = self._written(step)
        return self._drafts[key]

    def _written(self, step: Step) -> dict[str, Any]:
        connect: Any = Connection
        produce: Any = Producer
        with connect("memory://") as connection, connection.channel() as channel:
            self._app.send_task(
                step.task,
                args=("", ""),
                producer=produce(channel),
                queue=step.queue,
                expires=resend_after(self._lease),
                ignore_result=True,
                add_to_parent=False,
            )
            message: dict[str, Any] = copy.deepcopy(channel._get(step.queue))
            channel.queue_delete(step.queue)
        return message


def letters(app: Any, settings: Settings) -> Callable[[str, Step], tuple[str, str] | None]:
    """What makes the messages, for `state.runs.Runs.letter`. None are made where Celery was given another broker."""
    if app.conf.broker_url != settings.broker_url:
        return lambda run, step: None
    return Letters(app, settings.lease).make
