"""`state.events` against a real Redis."""

from __future__ import annotations

import threading
from itertools import islice

from state.events import Event, Events
from state.store import Store


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def test_events_are_read_oldest_first_and_whole(store: Store) -> None:
    events = Events(store)
    assert events.last() == []
    full = Event("deploy_stop", 1.5, "web", "a", "abc", "run", "failed", "ä\n", 2.5, {"version": "1.0", "tries": 3})
    events.emit(Event("deploy_start"), full)
    first, second = events.last()
    assert first.name == "deploy_start"
    assert second == Event(**{**{f: getattr(full, f) for f in full.__slots__}, "id": second.id})
    assert first.id < second.id


def test_the_last_are_counted_also_for_one_app(store: Store) -> None:
    events = Events(store)
    events.emit(*(Event(f"e{n}", app="web" if n % 100 == 0 else "db") for n in range(2500)))
    assert names(events.last(3)) == ["e2497", "e2498", "e2499"]
    assert names(events.last(3, app="web")) == ["e2200", "e2300", "e2400"]
    assert len(events.last(1000, app="web")) == 25
    assert len(events.last(1200)) == 1200
    assert events.last(0) == []
    assert events.last(app="none") == []


def test_only_about_as_many_as_asked_for_are_kept(store: Store) -> None:
    events = Events(store, keep=200)
    events.emit(*(Event(f"e{n}") for n in range(2000)))
    kept = events.last(5000)
    assert 200 <= len(kept) <= 400
    assert kept[-1].name == "e1999"


def test_emitting_none_does_nothing_and_a_pipeline_is_left_to_its_owner(store: Store) -> None:
    events = Events(store)
    events.emit()
    pipe = store.pipeline()
    events.emit(Event("a"), Event("b"), pipe=pipe)
    assert events.last() == []
    pipe.execute()
    assert names(events.last()) == ["a", "b"]


def test_following_from_an_id_gives_all_that_came_after_it(store: Store) -> None:
    events = Events(store)
    events.emit(Event("a"), Event("b"), Event("c"))
    first = events.last()[0]
    assert names(list(events.follow(first.id, timeout=0.05))) == ["b", "c"]
    assert names(list(events.follow("0-0", timeout=0.05))) == ["a", "b", "c"]


def test_following_from_now_on_gives_what_comes_as_it_comes(store: Store) -> None:
    events = Events(store)
    events.emit(Event("before"))
    following = events.follow(timeout=30)
    stop = threading.Event()

    def emit() -> None:
        # Until one was seen, since nobody knows from outside when following has begun.
        while not stop.is_set():
            events.emit(Event("after"))
            stop.wait(0.02)

    thread = threading.Thread(target=emit)
    thread.start()
    try:
        assert names(list(islice(following, 2))) == ["after", "after"]
    finally:
        stop.set()
        thread.join()


def test_following_ends_when_nothing_comes(store: Store) -> None:
    assert list(Events(store).follow(timeout=0.05)) == []
    assert list(Events(store).follow(timeout=0)) == []
