"""`state.outcomes` against a real Redis."""

from __future__ import annotations

from state.outcomes import Outcome, Outcomes
from state.store import Store

FAILED = Outcome("web", "a", "deploy", "failed", "d1", "1.0", "BuildFailed", "ä", "run", "abc", 1.5, 3, 99.25, "db")


def test_the_last_outcome_of_each_app_on_each_node_is_kept(store: Store) -> None:
    outcomes = Outcomes(store)
    assert outcomes.get("web", "a") is None
    other = Outcome("web", "b", "deploy", "ok")
    outcomes.put(FAILED)
    outcomes.put(other)
    assert outcomes.get("web", "a") == FAILED
    assert outcomes.all() == {("web", "a"): FAILED, ("web", "b"): other}
    better = Outcome("web", "a", "deploy", "ok")
    outcomes.put(better)
    assert outcomes.all() == {("web", "a"): better, ("web", "b"): other}
    outcomes.drop("web", "a")
    assert outcomes.all() == {("web", "b"): other}


def test_writes_can_wait_in_a_pipeline(store: Store) -> None:
    outcomes = Outcomes(store)
    outcomes.put(Outcome("db", "a", "deploy", "ok"))
    pipe = store.pipeline()
    outcomes.put(FAILED, pipe)
    outcomes.drop("db", "a", pipe)
    assert list(outcomes.all()) == [("db", "a")]
    pipe.execute()
    assert outcomes.all() == {("web", "a"): FAILED}
