"""A whole Celeriac of a test's own: home, Git repository, Redis, worker and beat as real processes.

Everything is below one temporary folder and is ended by process id. Intervals are short, so that
what is repaired "soon" is repaired within a second or two.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil
from waiting import is_running, wait_for

from celeriac.settings import Settings, load
from reconciler.engine import Engine
from state.embedded import server_argv
from state.nodes import Nodes
from state.store import StateUnavailable, Store, open_store
from tasks.service_config import ROOT

CELERY = (sys.executable, "-m", "celery", "-A", "tasks")


class Installation:
    """One machine with Celeriac on it. Use it as a context manager."""

    def __init__(self, *, runtime: str = "noop", concurrency: int = 2, node: str = "n1", **settings: str) -> None:
        # A short path, since sockets lie below it.
        self.folder = Path(tempfile.mkdtemp(prefix="clr-", dir="/tmp"))
        self.home = self.folder / "home"
        self.repo = self.folder / "repo"
        self.node = node
        self.environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("CELERIAC_", "SENTRY_"))},
            "CELERIAC_HOME": str(self.home),
            "CELERIAC_REPO_URL": str(self.repo),
            "CELERIAC_RUNTIME": runtime,
            "CELERIAC_NODE": node,
            "CELERIAC_INTERVAL": "1h",
            "CELERIAC_LEASE": "2s",
            "CELERIAC_SWEEP_INTERVAL": "1s",
            "CELERIAC_OBSERVE_INTERVAL": "1s",
            "CELERIAC_CONCURRENCY": str(concurrency),
            "CELERIAC_CONFIG": str(self.folder / "celeriac.toml"),
            **settings,
        }
        self.environ.pop("REDIS_URL", None)
        (self.folder / "celeriac.toml").touch()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.home.mkdir()
        self.repo.mkdir()
        self.git("init", "-q", "-b", "main")

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, *raised: object) -> None:
        for name in ("beat", "worker", "flower", "redis"):
            self.kill(name)
        with contextlib.suppress(ImportError):
            from runtimes.supervisord import Supervisor

            with contextlib.suppress(Exception):
                Supervisor(self.home).shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)

    # The repository

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """Run git in the repository, or in another one."""
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
        identity += ("-c", "gc.auto=0")  # a collection in the background would still write when the folder goes
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=folder or self.repo, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        """Write the spec of an app; `version` alone makes a spec of the noop runtime."""
        folder = self.repo / "apps" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.yaml").write_text(text)

    def app(
        self, name: str, version: str = "1.0.0", *, needs: tuple[str, ...] = (), env: Mapping[str, str] = {}
    ) -> None:
        """Write the spec of an app that the noop runtime runs."""
        lines = [f"name: {name}", f'version: "{version}"']
        if needs:
            lines.append(f"depends_on: [{', '.join(needs)}]")
        if env:
            lines += ["env:", *(f'  {key}: "{value}"' for key, value in env.items())]
        self.write(name, "\n".join(lines) + "\n")

    def drop(self, name: str) -> None:
        """Delete the folder of an app."""
        shutil.rmtree(self.repo / "apps" / name)

    def commit(self, message: str = "change") -> str:
        """Commit everything; the revision."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    # The processes

    @property
    def settings(self) -> Settings:
        """The settings of its processes."""
        return load(self.environ, self.folder)

    @property
    def store(self) -> Store:
        """A connection to its Redis."""
        return open_store(self.settings)

    @property
    def engine(self) -> Engine:
        """All parts, for looking at what is stored."""
        return Engine(self.settings)

    def start(self, *, beat: bool = True) -> None:
        """Start Redis, a worker and beat; return when the worker takes tasks."""
        self.start_redis()
        if beat:
            self.start_beat()
        self.start_worker()

    def start_redis(self, *extra: str) -> None:
        """Start Redis; `extra` are more of its options."""
        self._spawn("redis", [*server_argv(self.settings), *extra])
        wait_for(self.redis_answers)

    def start_worker(self) -> None:
        """Start the worker, as `celeriac up` does; return when its node reports."""
        argv = [
            *CELERY, "worker", f"--queues=ctl,node.{self.node}", f"--hostname={self.node}@%h",
            f"--concurrency={self.environ['CELERIAC_CONCURRENCY']}", "--events", "--loglevel=INFO", "--without-gossip",
            "--without-mingle",
        ]  # fmt: skip
        process = self._spawn("worker", argv, REMAP_SIGTERM="SIGQUIT")
        wait_for(lambda: self._reports(process.pid))

    def start_beat(self) -> None:
        """Start beat."""
        self._spawn("beat", [*CELERY, "beat", f"--schedule={self.folder / 'schedule'}", "--loglevel=INFO"])

    def kill(self, name: str, how: int = signal.SIGKILL) -> None:
        """End one of the processes; a worker's children end with it."""
        process = self.processes.pop(name, None)
        if process is None:
            return
        children = psutil.Process(process.pid).children() if process.poll() is None else []
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, how)
        process.wait()
        # Ended ones may stay zombies until somebody reaps them, which is nobody's business here.
        deadline = time.monotonic() + 30
        while any(is_running(child.pid) for child in children) and time.monotonic() < deadline:
            time.sleep(0.01)

    def pool_children(self) -> list[int]:
        """The process ids of the worker's pool."""
        return [child.pid for child in psutil.Process(self.processes["worker"].pid).children()]

    def log(self, name: str) -> str:
        """What a process printed."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def redis_answers(self) -> bool:
        """Whether Redis is there."""
        store = self.store
        try:
            store.ping()
        except StateUnavailable:
            return False
        finally:
            store.close()
        return True

    # What a user does

    def cli(self, *arguments: str, code: int | None = 0) -> str:
        """Run `celeriac`; its standard output. Another exit code than `code` fails the test (None: any will do)."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("celeriac")), *arguments],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert code is None or done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def python(self, code: str) -> str:
        """Run Python code with Celeriac's settings, as a user's script would."""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sync(self, **options: Any) -> dict[str, Any]:
        """Ask for a sync and wait for its end: the record of the run that answers it."""
        request = self.ask(**options)
        wait_for(lambda: bool(self.result(request)))
        return self.result(request)

    def result(self, request: str) -> dict[str, Any]:
        """The stored result of a sync; empty while there is none."""
        text = self.store.client.get(f"{self.settings.key_prefix}.celery.celery-task-meta-{request}")
        return dict(msgspec.json.decode(text)["result"]) if text else {}

    def ask(self, **options: Any) -> str:
        """Ask for a sync; the id under which its result will be stored."""
        from reconciler.asking import ask_for_sync
        from reconciler.asking import stamp as unique

        engine = self.engine
        engine.publish = self._publish
        request = f"test-{unique()}"
        ask_for_sync(engine, "hand", request=request, **options)
        return request

    def status(self) -> dict[str, Any]:
        """The status document."""
        from reconciler.known import known
        from reconciler.status import status_of

        return status_of(known(self.engine))

    def live(self, app: str) -> Any:
        """What runs of an app here; None when nothing does."""
        return self.engine.runtime.current_state().get(app)

    def settle(self) -> None:
        """Wait until the remote has been looked at, no run is open and nothing is due."""
        engine = self.engine

        def settled() -> bool:
            if engine.desired.remote() is None or engine.runs.current() is not None:
                return False
            return not engine.due.due(engine.store.now()) and engine.runs.current() is None

        wait_for(settled)

    def _publish(self, run: str, steps: Any) -> None:
        """Leave the sending of the first step to the next sweep, so that this process needs no Celery app."""
        for step in steps:
            self.engine.store.client.zadd(self.engine.store.key("run", run, "ready"), {step.id: 0})

    def _spawn(self, name: str, argv: list[str], **environ: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                argv, cwd=ROOT, env={**self.environ, **environ}, stdout=log, stderr=log, start_new_session=True
            )
        self.processes[name] = process
        return process

    def _reports(self, pid: int) -> bool:
        assert self.processes["worker"].poll() is None, self.log("worker")
        try:
            node = Nodes(self.store).all().get(self.node)
        except StateUnavailable:
            return False
        return node is not None and node.alive and node.pid == pid
