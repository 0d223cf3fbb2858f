"""How others hear of what happens: Celery signals, structured logs, Sentry.

Sentry gets one issue per app, step and reason, and one event each time an app turns bad: not one per retry.
Neither gets a spec, an environment or what an app printed.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from celeriac import __version__
from celeriac.errors import CeleriacError
from celeriac.settings import Settings, load
from reconciler.consequences import classify
from runtimes.base import Superseded
from state.events import Event
from state.steps import Claim

_EMPTY = ("", None)
_events = structlog.get_logger("celeriac")  # made once: a thousand apps are several thousand lines


def listeners() -> list[Callable[[Event], None]]:
    """Who is told of each event in this process."""
    from tasks.events import send

    return [log, send]


def log(event: Event) -> None:
    """One structured line per event."""
    fields = {
        name: value
        for name in ("app", "node", "revision", "run", "result", "error", "duration")
        if (value := getattr(event, name)) not in _EMPTY
    }
    if "duration" in fields:
        fields["duration"] = round(fields["duration"], 3)
    write = _events.warning if event.result in ("failed", "rolled_back", "error") else _events.info
    write(event.name, **fields, **event.extra)


def configure_logs(settings: Settings) -> None:
    """Write log lines for people, or as JSON when CELERIAC_LOG_FORMAT says so; libraries' lines look the same.

    Ours do not go through the standard library's logging on their way: a thousand apps are several thousand lines.
    """
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    last = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _add_name,
            stamp,
            structlog.processors.format_exc_info,
            last,
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, stamp],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def _add_name(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line["logger"] = "celeriac"
    return line


def init_sentry(settings: Settings) -> bool:
    """Send failures to Sentry when SENTRY_DSN is set; whether it is."""
    if not settings.sentry_dsn:
        return False
    import sentry_sdk
    from sentry_sdk.integrations.celery import CeleryIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=settings.sentry_dsn,
        release=f"celeriac@{__version__}",
        server_name=settings.node,
        environment=os.environ.get("SENTRY_ENVIRONMENT", "production"),
        integrations=[CeleryIntegration(monitor_beat_tasks=False), LoggingIntegration(event_level=None)],
        include_local_variables=False,  # a local may hold a secret
        max_breadcrumbs=0,
        before_send=scrubbed,
    )
    sentry_sdk.set_tag("node", settings.node)
    return True


def scrubbed(event: Any, hint: Any) -> Any:
    """An event without what Celery adds of the message: nothing of it is needed, all of it is more to leak. Pure."""
    event.get("extra", {}).pop("celery-job", None)
    event.pop("request", None)
    return event


def fault(error: Exception, claim: Claim, shown: Callable[[str], str] = str) -> None:
    """Tell Sentry that a step failed, as one issue per app, step and reason. `shown` masks what is secret in a text."""
    if isinstance(error, Superseded):
        return
    if not isinstance(error, CeleriacError):  # a fault of ours: where it is belongs into the worker's log
        structlog.get_logger("celeriac").error("unexpected", step=claim.step.id, run=claim.run, exc_info=error)
    import sentry_sdk

    if not sentry_sdk.get_client().is_active():
        return
    step = claim.step
    verdict = classify(error)
    at = verdict.step or step.task
    with sentry_sdk.new_scope() as scope:
        scope.fingerprint = ["celeriac", step.task, step.app or "repository", at, verdict.reason]
        for name, value in (
            ("app", step.app),
            ("revision", step.revision),
            ("node", step.node or load().node),
            ("step", at),
            ("reason", verdict.reason),
            ("run", claim.run),
        ):
            if value:
                scope.set_tag(name, value)
        if isinstance(error, CeleriacError):
            # The message alone: its last lines are what an app printed, and may hold anything.
            first = error.message.splitlines()[0]
            subject = f"{step.app}: {step.task} failed at {at}: {first}" if step.app else f"{step.task}: {first}"
            sentry_sdk.capture_message(shown(subject), level="error")
        else:
            sentry_sdk.capture_exception(error)
