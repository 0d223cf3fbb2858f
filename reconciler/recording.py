"""What is remembered of an attempt to change an app: outcome, live state, history, events, back-off.

All of it goes into the step's effects, so that it is written when, and only when, the step still was ours.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from celeriac.errors import CeleriacError
from reconciler import backoff
from reconciler.consequences import Verdict, classify
from reconciler.engine import Engine
from reconciler.ledger import Entry
from reconciler.masking import masked
from reconciler.stages import stages
from reconciler.work import Work
from runtimes.base import RuntimeFailure
from specs.appstate import AppState
from specs.model import HOOK_LOG, AppSpec
from state.events import Event
from state.history import Change
from state.holds import Hold
from state.hooks import PRE, HookRecord
from state.outcomes import POST_DEPLOY_FAILED, Outcome
from state.steps import Claim, StepOutcome
from state.upgrades import Upgrade

_FOREVER = 10 * 365 * 86400.0


class Attempt:
    """One attempt at one step, from its beginning to what is written at its end."""

    def __init__(self, engine: Engine, claim: Claim, began: float) -> None:
        self.engine = engine
        self.claim = claim
        self.step = claim.step
        self.began = began
        self.hooks: tuple[HookRecord, ...] = ()

    def brought(self, state: AppState, spec: AppSpec | None, adopted: str = "") -> Work:
        """The app is at its spec and healthy."""
        engine, step = self.engine, self.step
        now = engine.clock()
        effects = engine.store.pipeline()
        live = self._seen(state)
        engine.live.put(live, pipe=effects)
        if adopted:
            engine.live.drop(adopted, step.node, pipe=effects)
            engine.outcomes.drop(adopted, step.node, pipe=effects)
        if spec is not None and step.action not in ("record", "repair"):
            self._note_in_ledger(self._entry(live, now))
        self._watch(live, effects, now)
        if live.path:
            engine.forget_releases(step.app, Path(live.path).name)
        self._settle(effects, now)
        if step.payload.get("hold"):
            held = step.payload["hold"]
            hold = Hold(step.app, held["digest"], live.version, now, held["reason"])
            engine.holds.hold(hold, pipe=effects)
        bad = next((hook for hook in self.hooks if hook.state == "failed"), None)
        why = step.payload.get("hold", {}).get("reason", "")
        if bad is not None:
            return self._live_but(bad, effects, live, now)
        self._history(effects, "ok", live.version, now, why)
        return Work(StepOutcome("ok"), effects=effects, events=(self._stop(now, "ok", version=live.version),))

    def _live_but(self, hook: HookRecord, effects: Any, live: AppState, now: float) -> Work:
        """The app is live and healthy, but its hook afterwards failed: told, and nothing that needs it waits for that.

        It stays so until the next change of the app, or its restart.
        """
        error = RuntimeFailure(
            self.step.app,
            "hook",
            f"{live.version} is live, but its {hook.hook} {hook.message}",
            output=hook.output,
            reason=POST_DEPLOY_FAILED,
            hint=f"see: celeriac logs {self.step.app} -p {HOOK_LOG}",
        )
        verdict = classify(error)
        outcome = self._outcome("failed", now, verdict.reason, verdict.message, attempts=1)
        self.engine.outcomes.put(outcome, pipe=effects)
        self._history(effects, "ok", live.version, now, verdict.message)
        self.engine.fault(error, self.claim)
        return Work(
            StepOutcome("failed", verdict.reason, verdict.message, blocks=False),
            effects=effects,
            events=(self._stop(now, "ok", verdict.reason, verdict.message, version=live.version),),
        )

    def verdict(self, error: Exception) -> Verdict:
        """What follows from `error`, told without the credentials of what ran and of what was to run."""
        found = classify(error)
        message = masked(self.engine, found.message, self.step.digest, self.step.from_digest)
        return replace(found, message=message)

    def _seen(self, state: AppState) -> AppState:
        """The state of the app, as it is told."""
        message = masked(self.engine, state.message, state.digest)
        return replace(state, node=self.step.node, message=message)

    def _entry(self, live: AppState, now: float) -> Entry:
        """What the ledger remembers of what is in force now."""
        step = self.step
        held = step.payload.get("hold", {})
        return Entry(
            digest=live.digest or step.digest,
            version=live.version,
            at=now,
            revision=step.revision,
            action=step.task,
            release=Path(live.path).name if live.path else "",
            refused=held.get("digest", ""),
            by_hand=bool(held),
            attempts=self._taken_back_before() if step.task == "upgrade" else 0,
            why=held.get("reason", ""),
        )

    def _watch(self, live: AppState, effects: Any, now: float) -> None:
        """Watch what an upgrade leads to; after any other change but a repair there is none to watch."""
        engine, step = self.engine, self.step
        if step.task == "upgrade":
            engine.upgrades.put(
                Upgrade(
                    app=step.app,
                    node=step.node,
                    at=now,
                    digest=live.digest or step.digest,
                    version=live.version,
                    from_digest=step.from_digest,
                    from_version=step.from_version,
                    attempts=self._taken_back_before(),
                ),
                pipe=effects,
            )
        elif step.from_digest and step.action not in ("repair", "record", "restart"):
            engine.upgrades.drop(step.app, step.node, pipe=effects)

    def _taken_back_before(self) -> int:
        """How often this very spec has been taken back already: a loop must not begin to count anew each time."""
        before = self.engine.outcomes.get(self.step.app, self.step.node)
        again = before is not None and before.result == "rolled_back" and before.digest == self.step.digest
        return before.attempts if before is not None and again else 0

    def _note_in_ledger(self, entry: Entry) -> None:
        """Remember what is in force now, and what was before: for a roll-back. A first deploy has nothing before."""
        ledger, step = self.engine.ledger, self.step
        if step.from_digest and step.from_digest != entry.digest:
            ledger.begin(step.app, Entry(step.from_digest, step.from_version, self.began))
        elif not ledger.has(step.app):
            return
        ledger.add(step.app, entry)

    def removed(self) -> Work:
        """Nothing of the app runs on this node any more."""
        engine, step = self.engine, self.step
        now = engine.clock()
        effects = engine.store.pipeline()
        engine.live.drop(step.app, step.node, pipe=effects)
        engine.outcomes.drop(step.app, step.node, pipe=effects)
        if step.payload.get("release_hold", True):
            engine.holds.release(step.app, pipe=effects)
        self._history(effects, "ok", "", now)
        return Work(StepOutcome("ok"), effects=effects, events=(self._stop(now, "ok"),))

    def rolled_back(self, state: AppState, why: CeleriacError, tried: str, also: tuple[Event, ...] = ()) -> Work:
        """The version `tried` did not become healthy; the one before runs again."""
        engine, step = self.engine, self.step
        now = engine.clock()
        verdict = self.verdict(why)
        message = f"rolled back to {state.version}: {verdict.message}"
        effects = engine.store.pipeline()
        engine.live.put(self._seen(state), pipe=effects)
        outcome, news = self._fail(effects, "rolled_back", verdict.reason, message, now)
        engine.upgrades.drop(step.app, step.node, pipe=effects)
        if outcome.digest:  # a roll-back by hand that failed left what is in the ledger in force
            self._note_taken_back(state, outcome)
        self._history(effects, "rolled_back", tried, now, message)
        if news:
            engine.fault(why, self.claim)
        return Work(
            StepOutcome("failed", "RolledBack", message),
            effects=effects,
            events=(*also, self._stop(now, "rolled_back", verdict.reason, message)),
        )

    def taken_back(self, state: AppState, why: CeleriacError) -> Work:
        """The step was a roll-back of an upgrade that failed later; it went well, which is no success of the upgrade.

        What is remembered is about the spec that failed, which the step goes back from.
        """
        engine, step = self.engine, self.step
        now = engine.clock()
        verdict = self.verdict(why)
        message = f"rolled back to {state.version}: {verdict.message}"
        effects = engine.store.pipeline()
        engine.live.put(self._seen(state), pipe=effects)
        upgrade = engine.upgrades.all().get((step.app, step.node))
        attempts = (upgrade.attempts if upgrade is not None else 0) + 1
        outcome = replace(
            self._outcome("rolled_back", now, verdict.reason, message, attempts, now + self._delay(attempts)),
            action="upgrade",
            digest=step.from_digest,
            version=step.from_version,
        )
        engine.outcomes.put(outcome, pipe=effects)
        engine.due.schedule(f"retry:{step.app}@{step.node}", outcome.not_before, pipe=effects)
        engine.upgrades.drop(step.app, step.node, pipe=effects)
        self._note_taken_back(state, outcome)
        self._history(effects, "rolled_back", state.version, now, message)
        engine.fault(why, self.claim)
        return Work(
            StepOutcome("failed", "RolledBack", message),
            effects=effects,
            events=(self._stop(now, "ok", verdict.reason, message, version=state.version),),
        )

    def _note_taken_back(self, state: AppState, outcome: Outcome) -> None:
        """Remember on disk, too, that what Git asks for failed here, so that losing Redis does not try it at once."""
        entry = Entry(
            digest=state.digest,
            version=state.version,
            at=outcome.at,
            revision=state.revision,
            action="rollback",
            release=Path(state.path).name if state.path else "",
            refused=outcome.digest,
            refused_version=outcome.version,
            until=outcome.not_before,
            attempts=outcome.attempts,
            why=outcome.message,
        )
        self.engine.ledger.take_back(self.step.app, outcome.digest, entry)

    def failed(self, error: Exception, observed: AppState | None, also: tuple[Event, ...] = ()) -> Work:
        """The step failed; `observed` is what runs of the app now."""
        engine, step = self.engine, self.step
        now = engine.clock()
        verdict = self.verdict(error)
        if isinstance(error, RuntimeFailure) and error.step == "hook":
            self.hooks += (HookRecord(PRE, "failed", step.node, message=error.message, output=error.output),)
        effects = engine.store.pipeline()
        if observed is not None:
            engine.live.put(self._seen(observed), pipe=effects)
        forever = verdict.consequence == "until_changed"
        _, news = self._fail(effects, "failed", verdict.reason, verdict.message, now, forever=forever)
        self._history(effects, "failed", self._tried or (observed.version if observed else ""), now, verdict.message)
        if news:
            engine.fault(error, self.claim)
        return Work(
            StepOutcome("failed", verdict.reason, verdict.message),
            effects=effects,
            events=(*also, self._stop(now, "failed", verdict.reason, verdict.message)),
        )

    def superseded(self, message: str) -> Work:
        """The step was given up for a newer desired state, which is looked at right after this run."""
        engine, step = self.engine, self.step
        now = engine.clock()
        effects = engine.store.pipeline()
        engine.due.schedule(f"superseded:{step.id}", now, pipe=effects)
        return Work(
            StepOutcome("superseded", "Superseded", message),
            effects=effects,
            events=(self._stop(now, "superseded", "Superseded", message),),
        )

    def start(self) -> Event:
        """The event that tells that the step begins, as the claim wrote it."""
        step = self.step
        extra = {"action": step.action, "version": step.version, "from_version": step.from_version}
        if step.payload.get("detail"):
            extra["why"] = step.payload["detail"]
        return self.event(f"{step.task}.start", self.began, extra=extra)

    def event(self, name: str, now: float, **fields: Any) -> Event:
        """An event about this attempt."""
        step = self.step
        return Event(name, now, app=step.app, node=step.node, revision=step.revision, run=self.claim.run, **fields)

    def _stop(self, now: float, result: str, reason: str = "", message: str = "", version: str = "") -> Event:
        extra: dict[str, Any] = {"action": self.step.action, "version": version or self.step.version}
        if reason:
            extra["reason"] = reason
        since = dict(self.step.payload.get("since", {}))
        committed_at = since.pop("committed_at", 0.0)
        took = stages(self.engine.attending.phases, time.monotonic(), since)
        if took:
            extra["stages"] = took
        if self.hooks:
            extra["hooks"] = [
                {"hook": h.hook, "result": h.state, "seconds": h.seconds, "output": list(h.output)} for h in self.hooks
            ]
        if committed_at and result == "ok":
            # While the old release drains the new one serves already.
            extra["commit_to_healthy"] = round(now - committed_at - took.get("drain", 0.0), 3)
        return self.event(
            f"{self.step.task}.stop", now, result=result, error=message, duration=now - self.began, extra=extra
        )

    def _settle(self, effects: Any, now: float) -> None:
        """Forget earlier failures; but a repair that is needed again and again is waited with, too."""
        engine, step = self.engine, self.step
        if step.action != "repair":
            engine.outcomes.drop(step.app, step.node, pipe=effects)
            return
        before = engine.outcomes.get(step.app, step.node)
        again = before is not None and before.digest == step.digest and now - before.at < backoff.LONGEST
        attempts = before.attempts + 1 if before is not None and again else 1
        not_before = now + self._delay(attempts - 2) if attempts > 2 else 0.0
        engine.outcomes.put(self._outcome("ok", now, attempts=attempts, not_before=not_before), pipe=effects)
        if not_before:
            engine.due.schedule(f"retry:{step.app}@{step.node}", not_before, pipe=effects)

    def _delay(self, attempts: int) -> float:
        return backoff.delay(attempts, self.step.id)

    def _fail(
        self, effects: Any, result: Any, reason: str, message: str, now: float, *, forever: bool = False
    ) -> tuple[Outcome, bool]:
        """Remember the failure and when it is tried again; whether it is another one than before."""
        engine, step = self.engine, self.step
        before = engine.outcomes.get(step.app, step.node)
        attempts = before.attempts + 1 if before is not None and before.digest == step.digest else 1
        wait = _FOREVER if forever else self._delay(attempts)
        outcome = self._outcome(result, now, reason, message, attempts, now + wait)
        engine.outcomes.put(outcome, pipe=effects)
        if not forever:
            engine.due.schedule(f"retry:{step.app}@{step.node}", now + wait, pipe=effects)
        news = before is None or (before.result, before.digest, before.reason) != (result, step.digest, reason)
        return outcome, news

    @property
    def _tried(self) -> str:
        """The version that the step is to bring: that of a roll-back may be asked for by name."""
        return str(self.step.payload.get("to") or self.step.version)

    def _outcome(
        self,
        result: Any,
        now: float,
        reason: str = "",
        message: str = "",
        attempts: int = 0,
        not_before: float = 0.0,
    ) -> Outcome:
        step = self.step
        return Outcome(
            app=step.app,
            node=step.node,
            action=step.action,
            result=result,
            digest=step.digest,
            version=self._tried,
            reason=reason,
            message=message,
            run=self.claim.run,
            revision=step.revision,
            at=now,
            attempts=attempts,
            not_before=not_before,
        )

    def _history(self, effects: Any, result: str, version: str, now: float, why: str = "") -> None:
        engine, step = self.engine, self.step
        if step.action in ("record", "observe"):
            return
        head = self.claim.head
        ours = head if head is not None and head.revision == step.revision else None
        change = Change(
            app=step.app,
            node=step.node,
            time=now,
            action=step.action,
            result=result,
            revision=step.revision,
            author=ours.author if ours else "",
            subject=ours.subject if ours else "",
            from_version=step.from_version,
            to_version=version or step.version,
            duration=now - self.began,
            why=why or ": ".join(filter(None, (step.reason, step.payload.get("detail", "")))),
            run=self.claim.run,
            digest=step.digest,
            output=tuple(line for hook in self.hooks for line in hook.output),
        )
        engine.history.add(change, pipe=effects)
