"""A whole Celeriac for a benchmark: the one that end-to-end tests use, with production's settings and a Celery client.

The client sends what beat and users send, so that nothing waits for a sweep.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Self
from unittest import mock

from celery import Celery

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from installation import CELERY, Installation  # noqa: E402

from bench.measure import until  # noqa: E402
from celeriac.settings import Settings  # noqa: E402
from state.steps import Step  # noqa: E402
from tasks.messages import send  # noqa: E402

_UNPACK_LIMIT = 100  # git's transfer.unpackLimit


class Place(Installation):
    """One machine with Celeriac on it, its worker with `bench.empty`. Intervals and concurrency are production's."""

    def __init__(self, *, concurrency: int = Settings().concurrency, runtime: str = "noop", **settings: str) -> None:
        defaults = {
            "CELERIAC_LEASE": "15s",
            "CELERIAC_SWEEP_INTERVAL": "2s",
            "CELERIAC_OBSERVE_INTERVAL": "2s",
        }
        super().__init__(runtime=runtime, concurrency=concurrency, **{**defaults, **settings})
        temporary = self.folder / "tmp"  # what a worker that is killed leaves in it goes with the place
        temporary.mkdir()
        self.environ["TMPDIR"] = str(temporary)
        self.parts = self.engine
        self.parts.publish = self._send

    def __enter__(self) -> Self:
        return self

    def begin(self, *, beat: bool = True) -> None:
        """Start everything; the worker's own first sync has ended when this returns.

        In a repository without a commit it would not end well, and what is due would stay so.
        """
        if not any((self.repo / ".git" / "refs" / "heads").iterdir()):
            self.commit("Nothing yet")
        self.client = _client(self.environ)
        self.commit("begin")  # of an empty repository nothing is ever settled
        self.start(beat=beat)
        self.idle()

    def start_worker(self) -> None:
        """Start the worker as `celeriac up` does, with one task more."""
        argv = [
            *CELERY[:4], "bench.worker", "worker", f"--queues=ctl,node.{self.node}", f"--hostname={self.node}@%h",
            f"--concurrency={self.environ['CELERIAC_CONCURRENCY']}", "--events", "--loglevel=INFO", "--without-gossip",
            "--without-mingle",
        ]  # fmt: skip
        process = self._spawn("worker", argv, REMAP_SIGTERM="SIGQUIT")
        until(lambda: self._reports(process.pid), 0.01)

    def idle(self) -> None:
        """Wait until no run is open, nothing is due and the remote has been looked at."""
        parts = self.parts

        def settled() -> bool:
            if parts.desired.remote() is None or parts.runs.current() is not None:
                return False
            return not parts.due.due(parts.store.now()) and parts.runs.current() is None

        until(settled, 0.01)

    def tick(self) -> float:
        """What beat does: send `sync`. Seconds until the run that it began is closed."""
        parts = self.parts
        before = parts.desired.remote()
        checked = before.checked_at if before else 0.0
        key, remote = parts.store.key("run"), parts.store.key("desired", "remote")
        known = parts.store.client.get(remote)
        began = time.perf_counter()
        self.client.send_task("sync", args=("beat",), queue="ctl", ignore_result=True)
        until(lambda: bool(parts.store.client.get(remote) != known))
        until(lambda: parts.store.client.get(key) is None)
        ended = time.perf_counter()
        seen = parts.desired.remote()
        assert seen is not None
        assert seen.ok
        assert seen.checked_at > checked
        return ended - began

    def synced(self, trigger: str = "call") -> dict[str, Any]:
        """Ask for a sync as a user does; the record of its run."""
        from reconciler.asking import ask_for_sync

        asked = ask_for_sync(self.parts, trigger)
        assert asked.started
        found: list[dict[str, Any]] = []

        def closed() -> bool:
            record = self.parts.runs.record(asked.run)
            found[:] = [record] if record else []
            return bool(found)

        until(closed, 0.005)
        return found[0]

    def empty_tasks(self, count: int) -> float:
        """Seconds for `count` independent empty tasks on this worker, from the first message to the last end."""
        queue = f"node.{self.node}"
        prefix = f"{self.settings.key_prefix}.celery."
        client = self.parts.store.client
        began = time.perf_counter()
        with self.client.producer_pool.acquire(block=True) as producer:
            for _ in range(count):
                self.client.send_task("bench.empty", queue=queue, producer=producer, ignore_result=True)
        until(lambda: client.llen(prefix + queue) == 0 and client.hlen(prefix + "unacked") == 0)
        return time.perf_counter() - began

    def commit(self, message: str = "change") -> str:
        """Commit everything, kept as a server keeps what is pushed: much of it in a pack."""
        revision = super().commit(message)
        if int(self.git("count-objects").split()[0]) >= _UNPACK_LIMIT:
            self.git("repack", "-d", "-q")
        return revision

    def many(self, count: int, depends: Sequence[Sequence[int]] = (), version: str = "1.0.0") -> None:
        """Write `count` apps `a0`…; `depends[i]` are the numbers of the apps that `a<i>` needs. Not committed."""
        for number in range(count):
            needs = tuple(f"a{other}" for other in depends[number]) if depends else ()
            self.app(f"a{number}", version, needs=needs)

    def stop_apps(self) -> None:
        """End every app and its supervisor."""
        from runtimes.supervisord import Supervisor

        Supervisor(self.home).shutdown()

    def _send(self, run: str, steps: Sequence[Step]) -> None:
        send(self.client, self.parts.settings.lease, run, steps)


def _client(environ: dict[str, str]) -> Celery:
    """A Celery app with this installation's settings, of which there may be several in one process."""
    spec = spec_from_file_location("bench_celeryconfig", ROOT / "celeryconfig.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    with mock.patch.dict(os.environ, environ):
        spec.loader.exec_module(module)
    app = Celery("bench", set_as_current=False)
    app.config_from_object(module)
    return app
