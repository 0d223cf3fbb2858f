"""The reconciler in this process: a real engine on real Redis and Git, and the runtime that runs nothing.

What is published is collected instead of sent, so that a test decides which step is done, and when.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from celeriac.settings import Settings
from reconciler import apply, diff, observe, parse, pull
from reconciler.asking import ask_for_sync, stamp
from reconciler.engine import Engine
from reconciler.known import known
from reconciler.status import status_of
from reconciler.work import Body, Done, perform
from state.events import Event
from state.nodes import Node
from state.steps import Claim, Step

BODIES: Mapping[str, Body] = {
    "pull": pull.pull,
    "parse": parse.parse,
    "diff": diff.diff,
    "observe": observe.observe_step,
    **dict.fromkeys(("deploy", "upgrade", "reconfigure", "remove", "rollback"), apply.apply),
}


class Workbench:
    """One engine on the node `n1`, and what it sent, told and answered."""

    def __init__(self, folder: Path, redis_url: str, prefix: str, **settings: Any) -> None:
        self.repo = folder / "repo"
        self.sent: list[tuple[str, Step]] = []
        self.told: list[Event] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.faults: list[tuple[Exception, Claim]] = []
        given: dict[str, Any] = {"home": folder / "home", "repo_url": str(self.repo), "node": "n1", "runtime": "noop"}
        self.engine = Engine(
            Settings(redis_url=redis_url, key_prefix=prefix, **{**given, **settings}),
            publish=self._collect,
            answer=lambda request, record: self.answers.update({request: dict(record)}),
            listeners=[self.told.append],
            fault=lambda error, claim: self.faults.append((error, claim)),
        )
        self.engine.settings.home.mkdir(parents=True)
        self.repo.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.node("n1")

    def node(self, name: str, **fields: Any) -> None:
        """Let a node say that it is there."""
        self.engine.nodes.beat(Node(name, boot=name, seen_at=self.engine.clock(), **fields))

    # The repository

    def git(self, *arguments: str) -> str:
        """Run git in the repository."""
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *identity, *arguments], cwd=self.repo, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        """Write the spec file of an app."""
        folder = self.repo / "apps" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.yaml").write_text(text)

    def app(self, name: str, version: str = "1.0.0", *, more: str = "", **env: str) -> None:
        """Write a spec; `more` are lines of YAML."""
        lines = [f"name: {name}", f'version: "{version}"', *([more] if more else [])]
        if env:
            lines += ["env:", *(f'  {key}: "{value}"' for key, value in env.items())]
        self.write(name, "\n".join(lines) + "\n")

    def drop(self, name: str) -> None:
        """Delete the spec of an app."""
        (self.repo / "apps" / name / "app.yaml").unlink()

    def commit(self, subject: str = "change") -> str:
        """Commit everything; the revision."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")

    # The work

    def ask(self, trigger: str = "hand", **options: Any) -> str:
        """Ask for a sync; the id of the request."""
        request = stamp()
        ask_for_sync(self.engine, trigger, request=request, **options)
        return request

    def step(self) -> Done:
        """Do the step that was sent first."""
        run, step = self.sent.pop(0)
        return perform(self.engine, run, step.id, BODIES[step.task])

    def until(self, task: str) -> tuple[str, Step]:
        """Do what was sent until a step of `task` is next; that one."""
        while self.sent and self.sent[0][1].task != task:
            self.step()
        return self.sent[0]

    def work(self) -> None:
        """Do everything that was sent, and what follows from it."""
        while self.sent:
            self.step()

    def sync(self, trigger: str = "hand", **options: Any) -> dict[str, Any]:
        """A whole sync; the record of its run."""
        request = self.ask(trigger, **options)
        self.work()
        return self.answers[request]

    # What came of it

    def status(self) -> dict[str, Any]:
        """The status document."""
        return status_of(known(self.engine))

    def live(self, app: str) -> Any:
        """What runs of an app; None when nothing does."""
        return self.engine.runtime.current_state().get(app)

    def events(self, name: str = "") -> list[Event]:
        """The events in Redis, of one name or all."""
        return [event for event in self.engine.events.last(1000) if name in ("", event.name)]

    def tasks(self) -> list[str]:
        """The tasks that were sent and wait."""
        return [step.task for _, step in self.sent]

    def _collect(self, run: str, steps: Sequence[Step]) -> None:
        self.sent += [(run, step) for step in steps]
