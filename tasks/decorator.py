"""The one way to define a task here: a closed signature, so that a misspelt option is an error.

Celery keeps an option it does not know as an attribute and says nothing. `PipelineTask`, the base of all our tasks,
takes identifiers only, shows in Flower which app a step concerns, and knows what Redis being away means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Task

from state.unavailable import StateUnavailable
from tasks.celery import app

LONGEST = 3600


class PipelineTask(Task):  # type: ignore[misc]
    """Base of every task. Nothing is lost when one fails: the sweep sends it again."""

    abstract = True
    Request = "tasks.arrival:Arrival"
    throws = (StateUnavailable,)

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Refuse arguments that are no identifiers: messages are read by anybody who can read Redis."""
        for value in [*args, *kwargs.values()]:
            if value is not None and not isinstance(value, str | bool | int):
                raise TypeError(f"{self.name}: takes identifiers only, not {type(value).__name__}")


def pipeline_task(
    name: str,
    *,
    time_limit: int = 600,
    max_retries: int = 3,
    ignore_result: bool = True,
) -> Callable[[Callable[..., Any]], Any]:
    """Define the task `name`: bound, acknowledged late, ended after `time_limit` seconds.

    When its worker dies it is delivered again at most `max_retries` times; the sweep does the rest.
    """
    if not 0 < time_limit <= LONGEST:
        raise ValueError(f"{name}: time_limit must be 1..{LONGEST}, well below the visibility timeout")

    def define(function: Callable[..., Any]) -> Any:
        return app.task(
            function,
            name=name,
            shared=False,  # with every other Celery app of the process
            base=PipelineTask,
            bind=True,
            acks_late=True,
            time_limit=time_limit,
            soft_time_limit=max(time_limit - 30, time_limit // 2),
            max_retries=max_retries,
            ignore_result=ignore_result,
        )

    return define
