"""The door by itself, from several threads."""

from __future__ import annotations

import threading

from waiting import wait_for

from runtimes.host.door import Counts, Door, Waiter


def test_who_comes_while_it_is_shut_is_held_and_let_in_together() -> None:
    door = Door()
    door.shut()
    let_in: list[int] = []
    for number in range(3):
        assert door.wait(Waiter(lambda number=number: let_in.append(number)))  # type: ignore[misc]
    assert door.enter() is None
    assert door.counts() == Counts(0, 3, 0, True)
    door.open()
    assert let_in == [0, 1, 2]
    assert door.counts() == Counts(3, 0, 0, False)


def test_no_more_are_held_than_the_queue_takes() -> None:
    door = Door()
    door.shut(queue=2)
    assert [door.wait(Waiter(lambda: None)) for _ in range(3)] == [True, True, False]


def test_one_that_gives_up_is_not_let_in_and_one_that_was_let_in_cannot_give_up() -> None:
    door = Door()
    door.shut()
    early, late = Waiter(lambda: None), Waiter(lambda: None)
    door.wait(early)
    door.wait(late)
    assert door.give_up(early) is True
    door.open()
    assert door.give_up(late) is False
    assert door.counts().in_flight == 1


def test_shutting_waits_for_those_inside_but_not_for_long_lived_ones() -> None:
    door = Door()
    ordinary, stream = door.enter(), door.enter()
    assert ordinary is not None
    assert stream is not None
    stream.stay()
    door.shut()
    assert door.wait_empty(0.01) == 1
    threading.Timer(0.05, ordinary.leave).start()
    assert door.wait_empty(20) == 0
    assert door.counts() == Counts(0, 0, 1, True)
    stream.leave()
    stream.leave()
    assert door.counts().long_lived == 0


def test_nobody_is_lost_between_many_threads() -> None:
    door = Door()
    done: list[int] = []

    def visit() -> None:
        for _ in range(50):
            ticket = door.enter()
            if ticket is None:
                let_in = threading.Event()
                assert door.wait(Waiter(let_in.set))
                assert let_in.wait(20)
                ticket = door.admitted()
            ticket.leave()
        done.append(1)

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(done) < 8:
        door.shut(queue=8)
        assert door.wait_empty(20) == 0
        door.open()
    wait_for(lambda: door.counts() == Counts(0, 0, 0, False))
    for thread in threads:
        thread.join()
