"""The timer of Celery's worker, kombu's own, with what a worker leaves in it."""

from __future__ import annotations

import time

from kombu.asynchronous.timer import Timer

from tasks.timers import forget_cancelled


def due(timer: Timer) -> list[str]:
    """What a worker is told to do now."""
    found = []
    for wait, entry in timer:
        if entry is None:
            assert wait is None or wait > 0
            break
        found.append(entry())
    return found


def test_what_was_cancelled_goes_and_what_was_not_still_happens_in_order() -> None:
    timer = Timer()
    limits = [timer.call_after(3600 - number, lambda: "limit") for number in range(50)]
    for seconds in (0.03, 0.01, 0.02):
        timer.call_after(seconds, lambda seconds=seconds: str(seconds))
    kept = limits.pop()
    for limit in limits:
        limit.cancel()
    assert forget_cancelled(timer) == 49
    assert len(timer) == 4
    time.sleep(0.04)
    assert due(timer) == ["0.01", "0.02", "0.03"]
    assert [entry.entry for entry in timer.queue] == [kept]
    assert forget_cancelled(timer) == 0


def test_it_may_be_done_while_the_timer_is_looked_through() -> None:
    timer = Timer()
    gone = timer.call_after(0.0, lambda: "gone")
    timer.call_after(0.0, lambda: "stays")
    gone.cancel()
    walk = iter(timer)
    forget_cancelled(timer)
    _, entry = next(walk)
    assert entry() == "stays"


def test_another_kind_of_timer_is_left_alone() -> None:
    assert forget_cancelled(object()) == 0
