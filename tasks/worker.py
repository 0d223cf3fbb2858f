"""What a worker does beside tasks: it says that its node is there, asks for a first sync, and sets up telemetry.

The heartbeat runs in the worker's main process: it proves that this one lives and can write to Redis.
"""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import time
from dataclasses import replace
from importlib import import_module
from typing import Any

from celery import bootsteps, signals

from celeriac import __version__
from celeriac.errors import CeleriacError
from celeriac.settings import Settings, load
from reconciler.sweep import request
from runtimes.registry import find_runtime
from state.nodes import Node, Nodes
from state.store import StateUnavailable, Store, open_store
from tasks import arrival, telemetry
from tasks.celery import app
from tasks.engine import engine

EVERY = 5.0
_kept = False
_TTL = 30.0


class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc]
    """Says every few seconds that this node is there; when the worker stops, that it is not waited for."""

    requires = frozenset({"celery.worker.components:Timer"})

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._entry: Any = None
        self._store: Store | None = None
        self._node: Node | None = None

    def start(self, parent: Any) -> None:
        """Begin."""
        settings = load()
        self._store = open_store(settings)
        self._node = node_of(settings)
        self._beat()
        self._entry = parent.timer.call_repeatedly(EVERY, self._beat)

    def stop(self, parent: Any) -> None:
        """End."""
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None
        if self._store is not None and self._node is not None:
            with contextlib.suppress(StateUnavailable):
                Nodes(self._store).leave(self._node)

    def terminate(self, parent: Any) -> None:
        """End, when the worker does not wait for its tasks: so it is with REMAP_SIGTERM=SIGQUIT."""
        self.stop(parent)

    def _beat(self) -> None:
        if self._store is None or self._node is None:
            return
        with contextlib.suppress(StateUnavailable):  # the next one tells; silence is what others act on
            Nodes(self._store).beat(replace(self._node, seen_at=time.time()), _TTL)
            arrival.measure(self._store)


def node_of(settings: Settings) -> Node:
    """What this worker says of its node."""
    now = time.time()
    return Node(
        name=settings.node,
        boot=secrets.token_hex(4),
        labels=settings.labels,
        runtime=settings.runtime,
        version=__version__,
        pid=os.getpid(),
        started_at=now,
        seen_at=now,
    )


app.steps["worker"].add(Heartbeat)


@signals.setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
def _set_up_logs(**_: Any) -> None:
    telemetry.configure_logs(load())


@signals.celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _import_early(**_: Any) -> None:
    # What is slow to import is imported once, before the pool's processes are made, and not by each at its first step.
    for name in ("git.cmd", "sentry_sdk", "uv", "runtimes.process"):
        with contextlib.suppress(ImportError):  # no git: the first step that needs it says so
            import_module(name)


@signals.celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _refuse_a_broken_runtime(**_: Any) -> None:
    # No step could do anything, and each would fail by itself: whoever starts the worker is told instead.
    try:
        find_runtime(load().runtime)
    except CeleriacError as error:
        raise SystemExit(f"celeriac: {error.message}; {error.hint}") from None


@signals.celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
@signals.beat_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _set_up_sentry(**_: Any) -> None:
    telemetry.init_sentry(load())


@signals.worker_before_create_process.connect(weak=False)  # type: ignore[untyped-decorator]
def _keep_what_was_imported(**_: Any) -> None:
    # It lives as long as the pool's processes, which share it as long as no collection marks it: that took 20 MB of
    # each, and looking through it cost planning a quarter.
    global _kept
    if not _kept:  # later it would keep what this process, which goes on, wants to let go
        gc.collect()
        gc.freeze()
        _kept = True


@signals.worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _begin_process(**_: Any) -> None:
    gc.set_threshold(50_000, 20, 50)
    # A hard time limit then ends what the task started, too.
    with contextlib.suppress(PermissionError):
        os.setpgid(0, 0)


@signals.worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
def _sync_first(**_: Any) -> None:
    """Do not wait for beat's first interval."""
    here = engine()
    with contextlib.suppress(CeleriacError):
        if here.settings.repo_url:
            here.live.unsettle(here.settings.node)
            request(here, "start")
