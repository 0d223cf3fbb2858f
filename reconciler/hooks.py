"""The hooks of an app: commands in its new release, before it goes live and after. Each once per run and app.

`before` runs pre_deploy when the release is built and nothing of the app has changed; when it fails, the change ends
there (HookFailed). `after` runs post_deploy when the app is live and healthy; when that fails, it is told
(PostDeployFailed), and the app stays as it is.

What is left when this process dies:
- before `begin`: nothing but a release; the step is done again and runs the hook
- after it: a record that says `running`, with the token of a lease that nobody holds any more. The kernel ends the
  hook with us; what had escaped is ended by whoever finds it. It is not run again in this run, since nobody knows how
  far it got: it counts as failed, the old release runs on, and the next run (after the back-off) runs it anew
- after the hook, before `end`: the same
- after `end`: the record says how it ended; the step is done again, and the hook is not
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from celeriac.errors import CeleriacError
from celeriac.marks import marked_pids
from celeriac.process import CommandCancelledError, CommandError, run
from reconciler.engine import Engine
from reconciler.hooklog import HookLog, secrets_in
from reconciler.plan import WITH_HOOKS
from runtimes import launching, strays
from runtimes.base import Runtime, RuntimeFailure, Superseded
from sources import resolve_argv
from specs.digest import digest
from specs.model import HOOK_LOG, AppSpec
from state.hooks import POST, PRE, HookBook, HookRecord
from state.steps import Claim
from state.unavailable import StateUnavailable

CUT_OFF = "was cut off, since the worker that ran it was lost; nobody knows how far it got"

_LINES = 20
_PATIENCE = 120.0  # seconds for which Redis is waited for when there is something to tell
_LOOK = 0.2


@dataclass(frozen=True, slots=True)
class Hooking:
    """The hooks around one change. A runtime that runs nothing says `runs_hooks = False`."""

    engine: Engine
    claim: Claim
    spec: AppSpec
    runtime: Runtime

    @property
    def names(self) -> tuple[str, ...]:
        """Those that this change has."""
        wanted = self.claim.step.action in WITH_HOOKS and getattr(self.runtime, "runs_hooks", True)
        return self.spec.hooks.names if wanted else ()

    def before(self) -> tuple[HookRecord, ...]:
        """Build the release and run pre_deploy, or wait for the node that does. Raises RuntimeFailure (HookFailed)."""
        if PRE not in self.names:
            return ()
        self.engine.release(self.spec)  # before anything is begun: a build that is cut off may be repeated
        record = self._begun(PRE)
        other = self._book.begin(*self._key, record)
        ended = self._carried_out(record) if other is None else self._awaited(record, other)
        if ended.state == "failed":
            raise RuntimeFailure(
                self.spec.name,
                "hook",
                f"{PRE} {ended.message}; nothing of the app was changed",
                output=ended.output,
                reason="HookFailed",
                hint=f"see: celeriac logs {self.spec.name} -p {HOOK_LOG}",
            )
        return (ended,)

    def after(self) -> tuple[HookRecord, ...]:
        """Run post_deploy, where no other node has; how that ended."""
        if POST not in self.names:
            return ()
        record = self._begun(POST)
        other = self._book.begin(*self._key, record)
        if other is None:
            return (self._carried_out(record),)
        if other.state == "running" and other.resource != record.resource:
            return ()  # another node's, which tells
        return (self._awaited(record, other),) if other.node == record.node else ()

    @property
    def _book(self) -> HookBook:
        return self.engine.hooks

    @property
    def _key(self) -> tuple[str, str, str]:
        return self.claim.run, self.spec.name, digest(self.spec).release

    def _begun(self, hook: str) -> HookRecord:
        step = self.claim.step
        return HookRecord(hook, "running", step.node, step.resource, self.claim.token, self.engine.clock())

    def _awaited(self, ours: HookRecord, other: HookRecord) -> HookRecord:
        """How the hook that somebody else began ends."""
        engine = self.engine
        unheld = 0.0
        known: HookRecord | None = other
        while known is not None and known.state == "running":
            holder = engine.leases.holder(known.resource)
            if holder is not None and holder.token != known.token:
                break
            unheld = unheld + _LOOK if holder is None else 0.0
            if unheld > 2 * engine.settings.lease:
                break
            if engine.attending.cancelled():
                raise Superseded("a newer desired state waits")
            time.sleep(_LOOK)
            known = self._book.get(*self._key, ours.hook)
        if known is not None and known.state != "running":
            return known
        _end_leftovers(engine, self.spec.name)
        return replace(known or other, state="failed", message=CUT_OFF, seconds=0.0)

    def _carried_out(self, record: HookRecord) -> HookRecord:
        """Run the hook that we have begun, and say how it ended. Raises Superseded when it is no longer wanted."""
        engine, spec = self.engine, self.spec
        log = HookLog(engine.settings.home, spec.name, secrets_in(spec.env))
        lines: list[str] = []

        def told(line: str) -> None:
            log.line(line)
            if line:
                lines.append(log.masked(line)[:500])
                del lines[:-_LINES]

        began = time.monotonic()
        ended = record
        try:
            release = engine.release(spec)
            engine.attending.report("hook")
            log.begin(f"{record.hook} of {spec.version}, {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}, run {self.claim.run}")
            began = time.monotonic()
            self._run(record.hook, release, told)
            ended = replace(record, state="ok")
        except (CommandCancelledError, Superseded) as error:
            ended = replace(record, state="failed", message="was stopped: a newer desired state waits")
            raise Superseded(f"{record.hook} of {spec.name} was stopped: a newer desired state waits") from error
        except CommandError as error:
            ended = replace(record, state="failed", message=_said(error))
        except CeleriacError as error:  # it could not be begun: the build failed, or there is no such program
            ended = replace(record, state="failed", message=f"did not begin: {error.message}")
            raise
        finally:
            _end_leftovers(engine, spec.name)
            if ended.state == "running":  # whatever it was, it is over
                ended = replace(record, state="failed", message=CUT_OFF)
            ended = replace(ended, seconds=round(time.monotonic() - began, 3), output=tuple(lines))
            self._end(ended)
        log.line(f"--- {ended.hook} {'went well' if ended.state == 'ok' else ended.message} ---")
        return ended

    def _run(self, hook: str, release: Path, told: Callable[[str], None]) -> None:
        engine, spec, step = self.engine, self.spec, self.claim.step
        env = hook_environment(engine, spec, release, hook, step.from_version)
        argv = launching.expand(resolve_argv(getattr(spec.hooks, hook), release), env)
        run(
            launching.program(argv, str(release), search=env["PATH"]),
            timeout=spec.hooks.timeout,
            cwd=_working_folder(engine, spec, adopts=step.action == "adopt" and hook == PRE),
            env=env,
            max_output=0,
            cancelled=engine.attending.cancelled,
            told=told,
        )

    def _end(self, record: HookRecord) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._book.end(*self._key, record)
                return
            except StateUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)


def hook_environment(engine: Engine, spec: AppSpec, release: Path, hook: str, old_version: str) -> dict[str, str]:
    """The whole environment of a hook: that of a process of the new release, and which hook it is.

    There is no $PORT before the app is live, and no CELERIAC_ENV_FILE, which is still that of the old release.
    """
    applied = getattr(engine.runtime, "applied", None)
    known = applied(spec.name) if hook == POST and applied is not None else None
    manifest = {
        "name": spec.name,
        "version": spec.version,
        "revision": spec.revision,
        "digest": str(digest(spec)),
        "node": engine.settings.node,
        "release": str(release),
        "home_id": strays.home_id(engine.settings.home),
        "side": getattr(known, "side", ""),
        "env_file": "",
        "port": getattr(known, "port", 0),
    }
    env = launching.environment(manifest, spec.env, os.environ, HOOK_LOG)
    del env["CELERIAC_ENV_FILE"]
    return {**env, "CELERIAC_HOOK": hook, "CELERIAC_OLD_VERSION": old_version}


def _working_folder(engine: Engine, spec: AppSpec, *, adopts: bool) -> Path:
    """The app's data folder; before an adoption that is still the one of the old name."""
    apps = engine.settings.home / "apps"
    old = apps / spec.renamed_from / "data"
    if adopts and old.is_dir():
        return old
    folder = apps / spec.name / "data"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _end_leftovers(engine: Engine, app: str) -> None:
    """End what a hook of `app` left behind on this node, in whatever session. Only for the holder of its lease."""
    marks = (
        f"CELERIAC_HOME_ID={strays.home_id(engine.settings.home)}",
        f"CELERIAC_APP={app}",
        f"CELERIAC_PROCESS={HOOK_LOG}",
    )
    strays.end(strays.pinned(marked_pids(marks)), grace=0)


def _said(error: CommandError) -> str:
    if error.returncode is None:
        return f"did not end as it should: {error.message}"
    how = f"exit code {error.returncode}" if error.returncode > 0 else f"signal {-error.returncode}"
    return f"ended with {how}"
