"""`state.history` against a real Redis."""

from __future__ import annotations

from state.history import Change, History
from state.store import Store


def test_changes_of_an_app_come_newest_first_and_whole(store: Store) -> None:
    history = History(store)
    old = Change("web", "a", 1.5, "deploy", "ok", "abc", "Ann", "Add web", "", "1.0", 2.5, "", "run")
    new = Change("web", "a", 2.5, "upgrade", "failed", why="no such version")
    history.add(old)
    history.add(new)
    history.add(Change("db", "a", 3.0, "deploy", "ok"))
    assert history.of("web") == [new, old]
    assert history.of("web", 1) == [new]
    assert history.of("none") == []


def test_only_the_last_changes_are_kept(store: Store) -> None:
    history = History(store, keep=3)
    for time in range(5):
        history.add(Change("web", "a", time, "deploy", "ok"))
    assert [change.time for change in history.of("web")] == [4, 3, 2]


def test_a_change_can_wait_in_a_pipeline(store: Store) -> None:
    history = History(store)
    pipe = store.pipeline()
    history.add(Change("web", "a", 1, "deploy", "ok"), pipe)
    assert history.of("web") == []
    pipe.execute()
    assert len(history.of("web")) == 1
