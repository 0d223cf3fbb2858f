"""Who is inside the app right now, and whether anybody else may go in. Knows no protocol.

Every request enters and leaves; while the door is shut, those who come are held, up to a number and for a time, and are
let in together when it opens. A WebSocket or a stream of events would keep it shut for ever, so such a connection says
that it is long-lived: it is inside, but nobody waits for it. Used from several threads, and from an event loop through
callbacks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

QUEUE = 1000
HOLD_SECONDS = 10.0


@dataclass(frozen=True)
class Counts:
    """How many requests are inside, held outside, and long-lived; and whether the door is shut."""

    in_flight: int
    held: int
    long_lived: int
    shut: bool


class Waiter:
    """One request that is held; `admit` is called, in whatever thread, once it is inside."""

    __slots__ = ("admit",)

    def __init__(self, admit: Callable[[], None]) -> None:
        self.admit = admit


class Ticket:
    """One request that is inside. It leaves once, however often that is said."""

    __slots__ = ("_door", "_where")

    def __init__(self, door: Door) -> None:
        self._door = door
        self._where = "in"

    def stay(self) -> None:
        """It is long-lived: nobody waits for it any more."""
        if self._where == "in":
            self._where = "long"
            self._door._moved(-1, 1)

    def leave(self) -> None:
        """It is over."""
        where, self._where = self._where, "out"
        if where == "in":
            self._door._moved(-1, 0)
        elif where == "long":
            self._door._moved(0, -1)


class Door:
    """The door of one app."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shut = False
        self._in = 0
        self._long = 0
        self._held: dict[Waiter, None] = {}
        self._queue = QUEUE
        self.hold_seconds = HOLD_SECONDS

    def enter(self) -> Ticket | None:
        """Go in; None while the door is shut."""
        with self._changed:
            if self._shut:
                return None
            self._in += 1
        return Ticket(self)

    def wait(self, waiter: Waiter) -> bool:
        """Be held until the door opens (`waiter.admit`); False when too many are. Right away where it is open."""
        with self._changed:
            if not self._shut:
                self._in += 1
            elif len(self._held) < self._queue:
                self._held[waiter] = None
                return True
            else:
                return False
        waiter.admit()
        return True

    def give_up(self, waiter: Waiter) -> bool:
        """Wait no longer; False when it has been let in meanwhile, and so has to leave."""
        with self._changed:
            return self._held.pop(waiter, waiter) is None

    def admitted(self) -> Ticket:
        """The ticket of one whose waiter was let in."""
        return Ticket(self)

    def shut(self, *, queue: int = QUEUE, hold_seconds: float = HOLD_SECONDS) -> None:
        """Let nobody in from now on; hold `queue` requests at most, none for longer than `hold_seconds`."""
        with self._changed:
            self._shut = True
            self._queue = queue
            self.hold_seconds = hold_seconds

    def wait_empty(self, seconds: float) -> int:
        """Wait until all who are inside have left, long-lived ones apart; how many have not after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._in == 0, seconds)
            return self._in

    def open(self) -> None:
        """Let in whoever waits, and whoever comes. Nothing when it is open."""
        with self._changed:
            self._shut = False
            admitted, self._held = list(self._held), {}
            self._in += len(admitted)
        for waiter in admitted:
            waiter.admit()

    def counts(self) -> Counts:
        """Who is where."""
        with self._changed:
            return Counts(self._in, len(self._held), self._long, self._shut)

    def _moved(self, inside: int, long_lived: int) -> None:
        with self._changed:
            self._in += inside
            self._long += long_lived
            if self._in == 0:
                self._changed.notify_all()
