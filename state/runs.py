"""The state machine of a run: a growing graph of steps, driven from Redis and not from messages.

A run begins with one step; each completed step may add more. Every change of state is one Lua script
(`state/lua`), so that a worker may die after any line: what is `running` without a lease is found by
`sweep`, what is `ready` but was never taken is sent again. `complete` is fenced by the claim's token
and carries its effects (documents, events) with it: all of it is written, or nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from celeriac.errors import CeleriacError
from state.desired import Head, digest_in
from state.documents import decode, decode_mapping, encode
from state.events import KEPT
from state.lease import LeaseLost
from state.steps import (
    Ask,
    Blocked,
    Claim,
    Closed,
    Completed,
    Refused,
    Requested,
    Run,
    Step,
    StepOutcome,
    StepRecord,
    Swept,
)
from state.store import Store

RECORDS = 200
Letter = Callable[[str, Step], tuple[str, str] | None]
"""(run, step) → a Redis list and the text to be put on it, where `@expires:SECONDS@` stands for the time until which
the text counts; None for a step whose message somebody else sends."""
_STAGED = 86400


class RunUnknown(CeleriacError):  # noqa: N818 - a condition, not a fault
    """The run has been closed, or Redis lost it."""

    reason = "RunUnknown"


class Runs:
    """The runs of one repository: at most one is open."""

    def __init__(self, store: Store) -> None:
        self.letter: Letter = lambda run, step: None
        """Makes the message about a step when that is added; Redis sends it, in the moment that the step is ready."""
        self._store = store
        self._prefix = store.key("")
        self._leases = store.key("lease", "")

    def request(
        self, trigger: str, first: Step, request: str = "", options: Mapping[str, Any] | None = None
    ) -> Requested:
        """Begin a run with the step `first`, or remember once that another is wanted after the open one."""
        ask = encode(Ask(trigger, request, options or {}))
        run, started = self._store.script("request")(
            keys=[self._prefix], args=[new_run_id(), ask, request, first.id, encode(first)]
        )
        return Requested(run, bool(int(started)))

    def current(self) -> Run | None:
        """The open run."""
        run = self._store.client.get(self._store.key("run"))
        return self.get(run) if run else None

    def get(self, run: str) -> Run | None:
        """The run with that id, while it is open."""
        pipe = self._store.pipeline()
        pipe.hgetall(self._key(run, "info"))
        pipe.lrange(self._key(run, "asks"), 0, -1)
        pipe.hgetall(self._key(run, "facts"))
        info, asks, facts = pipe.execute()
        if not info:
            return None
        return Run(
            id=run,
            started_at=float(info["started_at"]),
            open=int(info["open"]),
            asks=_asks(asks),
            facts={name: msgspec.json.decode(value) for name, value in facts.items()},
        )

    def facts(self, run: str) -> dict[str, Any]:
        """What earlier steps of the run left for later ones."""
        facts = self._store.client.hgetall(self._key(run, "facts"))
        return {name: msgspec.json.decode(value) for name, value in facts.items()}

    def steps(self, run: str) -> list[StepRecord]:
        """Every step of the run with its state, in the order they were added where Redis kept it."""
        pipe = self._store.pipeline(transaction=True)
        for part in ("steps", "state", "claims", "ends"):
            pipe.hgetall(self._key(run, part))
        texts, states, claims, ends = pipe.execute()
        return [
            _record(decode(Step, text), states.get(id_, "pending"), claims.get(id_), ends.get(id_))
            for id_, text in texts.items()
        ]

    def claim(self, run: str, step: str, owner: str, ttl: float) -> Claim | Refused:
        """Take the step for `ttl` seconds. `owner` must differ for each delivery of a message."""
        reply = self._store.script("claim")(
            keys=[
                self._base(run),
                self._leases,
                self._store.key("token"),
                self._store.key("desired", "names"),
                self._store.key("desired", "head"),
                self._store.key("events"),
                self._store.key("suspensions"),
            ],
            args=[step, owner, int(ttl * 1000), run, KEPT],
        )
        if reply[0] != "Claimed":
            return Refused(reply[0])
        _, text, token, attempt, asks, desired, head, suspended = reply
        return Claim(
            run,
            decode(Step, text),
            int(token),
            int(attempt),
            owner,
            _asks(asks),
            digest_in(desired),
            decode(Head, head) if head else None,
            bool(suspended),
        )

    def renew(self, claim: Claim, ttl: float) -> bool:
        """Hold the step for another `ttl` seconds; False when it is no longer ours."""
        return bool(
            self._store.script("renew")(
                keys=[self._base(claim.run), self._leases],
                args=[claim.step.id, claim.token, claim.owner, int(ttl * 1000)],
            )
        )

    def complete(
        self,
        claim: Claim,
        outcome: StepOutcome,
        add: Sequence[Step] = (),
        facts: Mapping[str, Any] | None = None,
        effects: Any = None,
    ) -> Completed:
        """End a claimed step in one round trip: release or block what needs it, add steps, write `effects`.

        Returns what the caller must send: of what became ready, that about which no letter was made.
        `effects` is a pipeline of writes that was not executed. Raises LeaseLost, with nothing
        written, when the step was claimed by another since.
        """
        reply = self._store.script("complete")(
            keys=[self._base(claim.run), self._leases],
            args=[
                claim.step.id,
                claim.token,
                outcome.state,
                outcome.reason,
                outcome.message,
                self._added(claim.run, add),
                _json({name: _json(value) for name, value in (facts or {}).items()}),
                _commands(effects),
            ],
        )
        if reply[0] == "LeaseLost":
            raise LeaseLost(f"step {claim.step.id} of run {claim.run} was given to another worker")
        return _completed(reply)

    def give_back(self, claim: Claim) -> bool:
        """Make the step ready again as if it had not been claimed; False when it is no longer ours."""
        return bool(
            self._store.script("give_back")(
                keys=[self._base(claim.run), self._leases], args=[claim.step.id, claim.token]
            )
        )

    def insert(self, run: str, add: Sequence[Step]) -> Completed:
        """Add steps to an open run from outside. Raises RunUnknown."""
        return self._insert(run, add, (), "", "")

    def fail(self, run: str, steps: Iterable[str], reason: str, message: str) -> Completed:
        """Fail those of `steps` that have not begun, and block what needs them. Raises RunUnknown."""
        return self._insert(run, (), tuple(steps), reason, message)

    def _insert(self, run: str, add: Sequence[Step], fail: tuple[str, ...], reason: str, message: str) -> Completed:
        reply = self._store.script("insert")(
            keys=[self._base(run)], args=[self._added(run, add), _json(fail), reason, message]
        )
        if reply[0] == "UnknownRun":
            raise RunUnknown(f"run {run} is not open")
        return _completed(reply)

    def sweep(self, stale: float = 30.0, max_attempts: int = 3) -> Swept:
        """Find what lost messages and lost workers left behind in the open run."""
        reply = self._store.script("sweep")(keys=[self._prefix, self._leases], args=[stale, max_attempts])
        if not reply:
            return Swept()
        run, resend, lost, blocked, still_open = reply
        return Swept(run, _steps(resend), _steps(lost), _blocked(blocked), int(still_open) == 0)

    def close(self, run: str, record: Mapping[str, Any], first: Step, *, keep: bool = True) -> Closed:
        """Close a finished run with its record; begin the next wanted one with the step `first`."""
        reply = self._store.script("close")(
            keys=[self._prefix],
            args=[run, encode(record), new_run_id(), first.id, encode(first), RECORDS, int(keep)],
        )
        if reply[0] == "Open":
            return Closed(False)
        _, following, by_us = reply
        return Closed(True, following, bool(int(by_us)))

    def following(self, run: str) -> str:
        """The run that was begun when `run` was closed; empty when nobody had asked for one, or it is long ago."""
        pairs = (entry.split(" ") for entry in self._store.client.lrange(self._store.key("followed"), 0, -1))
        return next((following for followed, following in pairs if followed == run), "")

    def unanswered(self) -> dict[str, dict[str, Any]]:
        """The requests of closed runs whose result was not yet stored, each with its run's record."""
        texts = self._store.client.hgetall(self._store.key("unanswered"))
        return {request: decode_mapping(text) for request, text in texts.items()}

    def answered(self, requests: Iterable[str]) -> None:
        """Forget requests whose result has been stored."""
        gone = list(requests)
        if gone:
            self._store.client.hdel(self._store.key("unanswered"), *gone)

    def stage(self, run: str, entries: Mapping[str, str]) -> None:
        """Keep texts by name for a later step of the run; gone when it is closed."""
        if entries:  # a late step may do this when the run is closed: then it must not stay
            pipe = self._store.pipeline()
            pipe.hset(self._key(run, "staged"), mapping=dict(entries))
            pipe.expire(self._key(run, "staged"), _STAGED)
            pipe.execute()

    def staged(self, run: str) -> dict[str, str]:
        """What steps of the run kept."""
        return dict(self._store.client.hgetall(self._key(run, "staged")))

    def record(self, run: str) -> dict[str, Any] | None:
        """The record of a closed run; the last 200 are kept."""
        text = self._store.client.hget(self._store.key("records"), run)
        return decode_mapping(text) if text else None

    def recent(self, count: int = 20) -> list[dict[str, Any]]:
        """The records of the last runs, newest first."""
        ids = self._store.client.lrange(self._store.key("recent"), 0, count - 1)
        texts = self._store.client.hmget(self._store.key("records"), ids) if ids else []
        return [decode_mapping(text) for text in texts if text]

    def _added(self, run: str, steps: Sequence[Step]) -> str:
        return _json([self._entry(run, step) for step in steps])

    def _entry(self, run: str, step: Step) -> list[Any]:
        letter = self.letter(run, step)
        return [step.id, encode(step), step.needs, *(("\n".join(letter),) if letter else ())]

    def _base(self, run: str) -> str:
        return self._store.key("run", run)

    def _key(self, run: str, part: str) -> str:
        return self._store.key("run", run, part)


def new_run_id() -> str:
    """A short id that sorts by time: seconds in hexadecimal, then chance."""
    return f"{int(time.time()):08x}{secrets.token_hex(3)}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _commands(effects: Any) -> str:
    """The commands of an unexecuted pipeline as JSON of texts."""
    if effects is None:
        return "[]"
    return _json([[_text(part) for part in args] for args, _ in effects.command_stack])


def _text(part: Any) -> str:
    if isinstance(part, bytes):
        return part.decode()
    return part if isinstance(part, str) else repr(part) if isinstance(part, float) else str(part)


def _asks(texts: Iterable[str]) -> tuple[Ask, ...]:
    return tuple(decode(Ask, text) for text in texts)


def _steps(texts: Iterable[str]) -> tuple[Step, ...]:
    return tuple(decode(Step, text) for text in texts)


def _blocked(entries: Iterable[Sequence[str]]) -> tuple[Blocked, ...]:
    return tuple(Blocked(decode(Step, text), by, message) for text, by, message in entries)


def _completed(reply: Sequence[Any]) -> Completed:
    _, ready, blocked, still_open = reply
    return Completed(_steps(ready), _blocked(blocked), int(still_open) == 0)


def _record(step: Step, state: Any, claim: str | None, end: str | None) -> StepRecord:
    claimed = msgspec.json.decode(claim) if claim else {}
    ended = msgspec.json.decode(end) if end else {}
    return StepRecord(
        step=step,
        state=state,
        owner=claimed.get("owner", ""),
        attempt=int(claimed.get("attempt", 0)),
        by=ended.get("by", ""),
        reason=ended.get("reason", ""),
        message=ended.get("message", ""),
        started_at=float(claimed.get("at", 0.0)),
        finished_at=float(ended.get("at", 0.0)),
    )
