"""`state.due` against a real Redis."""

from __future__ import annotations

from state.due import Due
from state.store import Store


def test_what_is_due_comes_earliest_first_and_stays_until_it_is_cleared(store: Store) -> None:
    due = Due(store)
    assert due.next() is None
    due.schedule("web", 20.5)
    due.schedule("db", 10)
    due.schedule("later", 30)
    assert due.next() == 10
    assert due.due(9.9) == []
    assert due.due(20.5) == ["db", "web"]
    assert due.due(20.5) == ["db", "web"]
    due.clear("db", "web")
    due.clear()
    assert due.due(100) == ["later"]


def test_a_later_time_replaces_the_one_before(store: Store) -> None:
    due = Due(store)
    due.schedule("web", 10)
    due.schedule("web", 20)
    assert due.due(15) == []
    assert due.next() == 20


def test_it_can_wait_in_a_pipeline(store: Store) -> None:
    due = Due(store)
    due.schedule("db", 1)
    pipe = store.pipeline()
    due.schedule("web", 1, pipe)
    due.clear("db", pipe=pipe)
    assert due.due(2) == ["db"]
    pipe.execute()
    assert due.due(2) == ["web"]
