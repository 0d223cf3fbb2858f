"""`state.runs` against a real Redis, driven at random and held against a model in plain Python."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from state.lease import LeaseLost
from state.runs import Runs, RunUnknown
from state.steps import ENDED, Claim, Completed, Refused, Step, StepOutcome, StepRecord
from state.store import Store

FIRST = Step("pull", "pull", "ctl")
OK = StepOutcome("ok")
ATTEMPTS = 2
WELL = {"ok", "tolerated"}
BADLY = ENDED - WELL
OWNERS = ("ann", "bob", "eve")
RESOURCES = ("", "web@a", "web@a", "db@a")
AFTER_FIRST = (("web@a", []), ("web@a", []), ("", [1]), ("web@a", [2]))
OUTCOMES = st.sampled_from(
    [
        OK,
        OK,
        OK,
        StepOutcome("failed", "BuildFailed", "no such version"),
        StepOutcome("failed", "RolledBack", "", blocks=False),
        StepOutcome("superseded", "NewerCommit", ""),
    ]
)
# Of each added step: its resource, and what it needs as numbers that are taken modulo the steps there are.
ADDED = st.lists(st.tuples(st.sampled_from(RESOURCES), st.lists(st.integers(0, 99), max_size=3)), max_size=4)
PICK = st.integers(0, 999)

Added = Sequence[tuple[str, list[int]]]


@dataclass
class Modelled:
    """What the model knows of a step. `token` is that of the claim that may still end it."""

    step: Step
    state: str
    attempt: int = 0
    token: int = 0
    owner: str = ""


class RunMachine(RuleBasedStateMachine):
    """Workers that claim, end, die, come late and come twice, on at most one run at a time."""

    def __init__(self, redis_url: str) -> None:
        super().__init__()
        self.store = Store(redis_url, prefix=f"machine-{uuid.uuid4().hex[:8]}")
        self.runs = Runs(self.store)
        self.run = ""
        self.steps: dict[str, Modelled] = {}
        self.held: dict[str, tuple[int, str]] = {}
        self.claims: list[Claim] = []
        self.ended: dict[str, str] = {}
        self.wanted = False
        self.done = 0
        self.last_token = 0

    # -- the model ---------------------------------------------------------------------------------------------

    def resource(self, step: Step) -> str:
        return step.resource or f"{self.store.key('run', self.run)}/{step.id}"

    def begin(self, run: str) -> None:
        """A run has begun; as in life, its first step adds the rest."""
        self.run, self.ended, self.steps = run, {}, {}
        if run:
            self.steps[FIRST.id] = Modelled(FIRST, "ready")
            self.try_claim(FIRST.id, "pat")
            self.try_complete(self.claims[-1], OK, AFTER_FIRST)

    def ids(self, *states: str) -> set[str]:
        return {name for name, known in self.steps.items() if known.state in states}

    def still_open(self) -> int:
        return sum(known.state not in ENDED for known in self.steps.values())

    def settle(self) -> None:
        """Block and release what the ended steps allow, until nothing changes."""
        changed = True
        while changed:
            changed = False
            for known in self.steps.values():
                if known.state == "pending":
                    needs = {self.steps[need].state for need in known.step.needs}
                    if needs & BADLY:
                        known.state, changed = "blocked", True
                    elif needs <= WELL:
                        known.state, changed = "ready", True

    def new_steps(self, added: Added) -> list[Step]:
        names = list(self.steps)
        steps = []
        for resource, needs in added:
            name = f"s{len(names)}"
            chosen = tuple(names[need % len(names)] for need in needs)
            steps.append(Step(name, "deploy", "node.a", resource=resource, app=name, node="a", needs=chosen))
            names.append(name)
        return steps

    def add(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self.steps[step.id] = Modelled(step, "pending")

    def fits(self, done: Completed, before: dict[str, str]) -> None:
        """Whether what a script said it led to is what the model says."""
        now_ready = {name for name in self.ids("ready") if before.get(name) in {None, "pending"}}
        now_blocked = {name for name in self.ids("blocked") if before.get(name) != "blocked"}
        ready = [step.id for step in done.ready]
        assert len(ready) == len(set(ready))
        assert now_ready <= set(ready) <= self.ids("ready")
        assert sorted(blocked.step.id for blocked in done.blocked) == sorted(now_blocked)
        assert done.finished == (self.still_open() == 0)

    def states(self) -> dict[str, str]:
        return {name: known.state for name, known in self.steps.items()}

    def is_ours(self, claim: Claim) -> bool:
        """Whether the claim's step still runs under it, its resource not taken by another."""
        mine = (claim.token, claim.owner)
        return self.is_running(claim) and self.held.get(self.resource(claim.step), mine) == mine

    def is_running(self, claim: Claim) -> bool:
        """Whether the claim's step runs, and was not claimed again since."""
        if claim.run != self.run:
            return False
        known = self.steps[claim.step.id]
        return (known.state, known.token) == ("running", claim.token)

    # -- what may happen ---------------------------------------------------------------------------------------

    @initialize()
    def first_request(self) -> None:
        asked = self.runs.request("test", FIRST)
        assert asked.started
        self.begin(asked.run)

    def request(self, force: bool) -> None:
        asked = self.runs.request("hand", FIRST, options={"force": force})
        assert asked.started == (not self.run)
        if asked.started:
            self.begin(asked.run)
        else:
            assert asked.run == self.run
            self.wanted = True

    @precondition(lambda self: self.run)
    @rule(picks=st.lists(st.tuples(PICK, st.sampled_from(OWNERS)), min_size=1, max_size=3))
    def claim(self, picks: list[tuple[int, str]]) -> None:
        for pick, owner in picks:
            # Mostly what can be claimed, so that a run gets somewhere; else anything.
            able = sorted(self.ids("ready", "running"))
            names = able if able and pick % 4 else sorted(self.steps)
            self.try_claim(names[pick % len(names)], owner)

    def try_claim(self, name: str, owner: str) -> None:
        known = self.steps[name]
        resource = self.resource(known.step)
        got = self.runs.claim(self.run, known.step.id, owner, 60)
        if known.state in ENDED:
            assert got == Refused("Done")
        elif known.state == "pending":
            assert got == Refused("NotReady")
        elif known.state == "running" and self.held.get(resource) == (known.token, known.owner):
            assert got == (self.claims_of(known)[-1] if owner == known.owner else Refused("Running"))
        elif resource in self.held:
            assert got == Refused("Busy")
        else:
            assert isinstance(got, Claim), got
            assert got.step == known.step
            assert got.attempt == known.attempt + 1
            assert got.token > self.last_token
            self.last_token = got.token
            known.state, known.attempt, known.token, known.owner = "running", got.attempt, got.token, owner
            self.held[resource] = (got.token, owner)
            self.claims.append(got)

    def claims_of(self, known: Modelled) -> list[Claim]:
        return [claim for claim in self.claims if claim.run == self.run and claim.token == known.token]

    @rule(pick=PICK, outcome=OUTCOMES, added=ADDED)
    def complete(self, pick: int, outcome: StepOutcome, added: Added) -> None:
        self.try_complete(self.some_claim(pick), outcome, added)

    def some_claim(self, pick: int) -> Claim:
        """Mostly one that holds; sometimes one that lost its resource to another, or is older."""
        holding = [claim for claim in self.claims if self.is_ours(claim)]
        robbed = [claim for claim in self.claims if self.is_running(claim) and not self.is_ours(claim)]
        claims = (robbed or holding, holding, self.claims[-4:])[pick % 3] or self.claims
        return claims[-1 - pick // 3 % len(claims)]

    def try_complete(self, claim: Claim, outcome: StepOutcome, added: Added) -> None:
        steps = self.new_steps(added) if claim.run == self.run else []
        effects = self.store.pipeline()
        effects.incr(self.store.key("done"))
        if self.is_ours(claim):
            before = self.states()
            done = self.runs.complete(claim, outcome, add=steps, facts={claim.step.id: self.done}, effects=effects)
            self.add(steps)
            self.steps[claim.step.id].state = outcome.state
            self.held.pop(self.resource(claim.step), None)
            self.settle()
            self.fits(done, before)
            self.done += 1
        elif claim.run == self.run and self.ended_by(claim):
            again = self.runs.complete(claim, outcome, add=steps, effects=effects)
            assert {step.id for step in again.ready} == self.ids("ready")
            assert again.blocked == ()
        else:
            with pytest.raises(LeaseLost):
                self.runs.complete(claim, outcome, add=steps, effects=effects)

    def ended_by(self, claim: Claim) -> bool:
        known = self.steps[claim.step.id]
        return known.token == claim.token and known.state in ENDED

    @precondition(lambda self: self.held)
    @rule(pick=PICK, then=st.sampled_from(("", "seen", "taken")))
    def lapse(self, pick: int, then: str) -> None:
        resource = sorted(self.held)[pick % len(self.held)]
        assert self.store.client.delete(self.store.key("lease", resource))
        del self.held[resource]
        if then == "seen":
            self.sweep()
        elif then == "taken":
            for name in sorted(self.ids("ready")):
                if self.resource(self.steps[name].step) == resource:
                    self.try_claim(name, "ann")

    @rule(pick=PICK)
    def renew(self, pick: int) -> None:
        claim = self.some_claim(pick)
        ours = self.is_ours(claim)
        assert self.runs.renew(claim, 60) == ours
        if ours:
            self.held[self.resource(claim.step)] = (claim.token, claim.owner)

    @rule(pick=PICK)
    def give_back(self, pick: int) -> None:
        claim = self.some_claim(pick)
        known = self.steps.get(claim.step.id)
        ours = claim.run == self.run and known is not None and (known.state, known.token) == ("running", claim.token)
        assert self.runs.give_back(claim) == ours
        if ours and known is not None:
            resource = self.resource(claim.step)
            if self.held.get(resource) == (claim.token, claim.owner):
                del self.held[resource]
            known.state, known.token, known.attempt = "ready", 0, known.attempt - 1

    @rule()
    def sweep(self) -> None:
        swept = self.runs.sweep(stale=0, max_attempts=ATTEMPTS)
        assert swept.run == self.run
        if not self.run:
            return
        before = self.states()
        lost = set()
        for name in self.ids("running"):
            known = self.steps[name]
            if self.held.get(self.resource(known.step)) != (known.token, known.owner):
                known.token = 0
                known.state = "ready" if known.attempt < ATTEMPTS else "failed"
                lost |= {name} if known.state == "failed" else set()
        self.settle()
        assert {step.id for step in swept.lost} == lost
        assert {step.id for step in swept.resend} == self.ids("ready")
        assert {b.step.id for b in swept.blocked} == {n for n in self.ids("blocked") if before[n] != "blocked"}
        assert swept.finished == (self.still_open() == 0)

    @rule(what=st.sampled_from(("request", "insert", "fail", "close")), pick=PICK, added=ADDED)
    def meddle(self, what: str, pick: int, added: Added) -> None:
        """What comes from outside is rarer than work, so one rule for all of it."""
        if what == "request":
            self.request(force=pick % 2 == 0)
        elif what == "insert":
            self.insert(added)
        elif self.run and what == "fail":
            self.fail([pick, pick // 7])
        elif self.run:
            self.close(keep=pick % 2 == 0)

    def insert(self, added: Added) -> None:
        if not self.run:
            with pytest.raises(RunUnknown):
                self.runs.insert("none", [FIRST])
            return
        before = self.states()
        steps = self.new_steps(added)
        done = self.runs.insert(self.run, [*steps, FIRST])  # the last is there already and left alone
        self.add(steps)
        self.settle()
        self.fits(done, before)

    def fail(self, picks: list[int]) -> None:
        names = list(dict.fromkeys(sorted(self.steps)[pick % len(self.steps)] for pick in picks))
        before = self.states()
        done = self.runs.fail(self.run, names, "NodeDown", "node a is down")
        for name in names:
            if self.steps[name].state in {"ready", "pending"}:
                self.steps[name].state, self.steps[name].token = "failed", 0
                self.settle()
        self.fits(done, before)

    def close(self, keep: bool) -> None:
        run = self.run
        closed = self.runs.close(run, {"run": run}, FIRST, keep=keep)
        assert closed.done == (self.still_open() == 0)
        if not closed.done:
            return
        assert bool(closed.next) == self.wanted
        assert self.runs.record(run) == ({"run": run} if keep else None)
        again = self.runs.close(run, {"run": run}, FIRST, keep=keep)
        assert (again.done, again.next) == (True, closed.next)
        assert self.keys_of(run) == []
        self.wanted = False
        self.begin(closed.next)

    def keys_of(self, run: str) -> list[str]:
        return list(self.store.client.scan_iter(f"{self.store.key('run', run)}*", count=10_000))

    # -- what always holds -------------------------------------------------------------------------------------

    @invariant()
    def redis_is_as_it_must_be(self) -> None:
        run = self.runs.current()
        assert (run.id if run else "") == self.run
        records = self.runs.steps(self.run) if run else []
        if run:
            assert run.open == sum(record.state not in ENDED for record in records)
        self.agrees_with_the_model(records)
        self.only_what_may_run_runs(records)
        self.what_has_ended_stays(records)
        self.no_resource_has_two_holders()

    def agrees_with_the_model(self, records: list[StepRecord]) -> None:
        assert {record.step.id: (record.state, record.attempt) for record in records} == {
            name: (known.state, known.attempt) for name, known in self.steps.items()
        }
        assert int(self.store.client.get(self.store.key("done")) or 0) == self.done, "effects are carried out once"

    def only_what_may_run_runs(self, records: list[StepRecord]) -> None:
        states = {record.step.id: record.state for record in records}
        for record in records:
            needs = {states[need] for need in record.step.needs}
            if record.state in {"ready", "running", "ok", "tolerated", "superseded"}:
                assert needs <= WELL
            elif record.state == "blocked":
                assert needs & BADLY

    def what_has_ended_stays(self, records: list[StepRecord]) -> None:
        states: dict[str, str] = {record.step.id: record.state for record in records}
        assert self.ended.items() <= states.items()
        self.ended = {name: state for name, state in states.items() if state in ENDED}

    def no_resource_has_two_holders(self) -> None:
        leases = list(self.store.client.scan_iter(self.store.key("lease", "*"), count=10_000))
        values = self.store.client.mget(leases) if leases else []
        held = {self.store.key("lease", resource): f"{token} {owner}" for resource, (token, owner) in self.held.items()}
        assert dict(zip(leases, values, strict=True)) == held

    def teardown(self) -> None:
        """Let every worker die; then sweeps alone must bring each run to its end, and leave nothing of it."""
        try:
            self.drain()
        finally:
            keys = list(self.store.client.scan_iter(f"{self.store.key('')}*", count=10_000))
            if keys:
                self.store.client.unlink(*keys)
            self.store.close()

    def drain(self) -> None:
        for resource in self.held:
            self.store.client.delete(self.store.key("lease", resource))
        rounds = 0
        while (swept := self.runs.sweep(stale=0, max_attempts=ATTEMPTS)).run:
            rounds += 1
            assert rounds < 200, "the run does not come to its end"
            if swept.finished:
                assert self.runs.close(swept.run, {"run": swept.run}, FIRST).done
                assert self.keys_of(swept.run) == []
            for step in swept.resend:
                claim = self.runs.claim(swept.run, step.id, f"drain-{rounds}", 60)
                assert isinstance(claim, Claim), claim
                self.runs.complete(claim, OK)
        assert not list(self.store.client.scan_iter(f"{self.store.key('run')}*", count=10_000))


def test_any_order_of_work_deaths_and_late_comers_keeps_a_run_sound(redis_url: str) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: RunMachine(redis_url),
        settings=settings(
            max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
