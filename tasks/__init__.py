"""Celeriac's tasks and public API: `from tasks import sync, status`.

Names are imported when first used, so that `from tasks import status` imports neither Celery nor Git.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.api import (
        app_status,
        current_state,
        deploy,
        desired_state,
        events,
        history,
        plan,
        remove,
        resume,
        rollback,
        status,
        suspend,
        upgrade,
    )
    from tasks.celery import app
    from tasks.pipeline import sync

__all__ = [
    "app", "app_status", "current_state", "deploy", "desired_state", "events", "history", "plan", "remove", "resume",
    "rollback", "status", "suspend", "sync", "upgrade",
]  # fmt: skip

_ELSEWHERE = {"app": "tasks.celery", "sync": "tasks.pipeline"}


def __getattr__(name: str) -> Any:
    if name == "events":  # the module, which is callable, so that it is one thing whoever imports it first
        return import_module("tasks.events")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "tasks.api")), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
