"""How long a worker that is told to stop waits, with a real Redis. A whole one: tests/e2e/test_worker_killed.py."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from celeriac.settings import Settings
from reconciler.parts import Parts
from reconciler.steps import PULL
from state.steps import Claim, StepOutcome
from state.store import Store
from tasks.stopping import wait_until_idle


@pytest.fixture
def parts(redis_url: str, store: Store, tmp_path: Path) -> Parts:
    return Parts(Settings(home=tmp_path, redis_url=redis_url, key_prefix=store.prefix, node="n1"))


def at_work(parts: Parts, owner: str) -> Claim:
    claim = parts.runs.claim(parts.runs.request("test", PULL).run, "pull", owner, 30)
    assert isinstance(claim, Claim)
    return claim


def test_nothing_is_waited_for_when_no_step_is_at_work(parts: Parts) -> None:
    assert wait_until_idle(parts, 60)


def test_steps_of_other_nodes_are_not_waited_for(parts: Parts) -> None:
    at_work(parts, "n10:1:x")
    assert wait_until_idle(parts, 60)


def test_a_step_is_waited_for_until_it_ends(parts: Parts) -> None:
    claim = at_work(parts, "n1:1:x")
    ended = threading.Event()

    def end() -> None:
        time.sleep(0.7)
        parts.runs.complete(claim, StepOutcome("ok"))
        ended.set()

    worker = threading.Thread(target=end)
    worker.start()
    assert wait_until_idle(parts, 60)
    assert ended.wait(5)
    worker.join()


def test_a_step_that_does_not_end_is_waited_for_no_longer_than_allowed(parts: Parts) -> None:
    at_work(parts, "n1:1:x")
    assert not wait_until_idle(parts, 0.6)


def test_while_redis_does_not_answer_there_may_be_a_step_at_work(tmp_path: Path) -> None:
    away = Parts(Settings(home=tmp_path, redis_url=f"unix://{tmp_path}/none.sock", node="n1"))
    assert not wait_until_idle(away, 0.1)
