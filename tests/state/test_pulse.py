"""`state.pulse` against a real Redis."""

from __future__ import annotations

from state.pulse import Pulse
from state.store import Store


def test_times_are_exact_and_unknown_ones_left_out(store: Store) -> None:
    pulse = Pulse(store)
    pulse.set("beat", 1715949001.1234567)
    pulse.set("sync", 2)
    pulse.set("sync", 3)
    assert pulse.get("beat", "sync", "next") == {"beat": 1715949001.1234567, "sync": 3.0}


def test_a_time_can_wait_in_a_pipeline(store: Store) -> None:
    pulse = Pulse(store)
    pipe = store.pipeline()
    pulse.set("beat", 1.5, pipe)
    assert pulse.get("beat") == {}
    pipe.execute()
    assert pulse.get("beat") == {"beat": 1.5}
