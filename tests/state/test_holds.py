"""`state.holds` against a real Redis."""

from __future__ import annotations

from state.holds import EVERYTHING, Hold, Holds, Suspension
from state.store import Store


def test_one_app_or_everything_can_be_suspended_until_resumed(store: Store) -> None:
    holds = Holds(store)
    holds.suspend("web", Suspension(99.5, "moving house", 1.5))
    holds.suspend(None, Suspension())
    assert holds.suspensions() == {"web": Suspension(99.5, "moving house", 1.5), EVERYTHING: Suspension()}
    assert holds.resume("web")
    assert not holds.resume("web")
    assert holds.resume(None)
    assert holds.suspensions() == {}


def test_a_hold_replaces_the_one_before_and_ends_when_released(store: Store) -> None:
    holds = Holds(store)
    holds.hold(Hold("web", "d1", "1.0", 1.5, "rolled back"))
    holds.hold(Hold("web", "d2", "1.1"))
    holds.hold(Hold("db"))
    assert holds.holds() == {"web": Hold("web", "d2", "1.1"), "db": Hold("db")}
    holds.release("web")
    holds.release("none")
    assert holds.holds() == {"db": Hold("db")}


def test_holds_can_be_made_and_ended_in_a_pipeline(store: Store) -> None:
    holds = Holds(store)
    holds.hold(Hold("db"))
    pipe = store.pipeline()
    holds.hold(Hold("web"), pipe)
    holds.release("db", pipe)
    assert list(holds.holds()) == ["db"]
    pipe.execute()
    assert list(holds.holds()) == ["web"]


def test_the_last_acknowledged_removals_are_known_by_their_revision(store: Store) -> None:
    holds = Holds(store)
    assert holds.removals_allowed() == ""
    holds.allow_removals("abc")
    holds.allow_removals("def")
    assert holds.removals_allowed() == "def"


def test_the_removals_that_wait_replace_those_before(store: Store) -> None:
    holds = Holds(store)
    for apps in ({"web", "db"}, {"db"}, set()):
        pipe = store.pipeline()
        holds.set_pending_removals(apps, pipe)
        pipe.execute()
        assert holds.pending_removals() == apps
