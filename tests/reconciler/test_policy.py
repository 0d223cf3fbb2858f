"""The rules of one plan at their edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.windows import Window
from reconciler.policy import EVERYTHING, Policy
from specs.model import Suspend
from state.holds import Suspension

NOON = 1_750_000_000.0  # a Sunday in June 2025, 15:06:40 UTC
ALWAYS = Window("allow", "* * * * *", 60)
NIGHTS = Window("allow", "0 22 * * *", 7200)
DENIED = Window("deny", "* * * * *", 60)


def policy(**suspensions: Suspension) -> Policy:
    return Policy(
        now=NOON, suspensions={name.replace("everything", EVERYTHING): one for name, one in suspensions.items()}
    )


# -- suspensions


def test_a_suspension_in_the_spec_counts_until_its_end_and_not_at_it() -> None:
    spec = Suspend("2025-06-15T16:00:00Z", "moving house")
    assert policy().suspended("web", spec, NOON + 1) == "moving house"
    assert policy().suspended("web", spec, NOON) == ""
    assert policy().suspended("web", Suspend(), 0) == "suspended in its spec"


def test_a_suspension_by_hand_counts_after_the_spec_and_before_that_of_everything() -> None:
    both = policy(web=Suspension(0, "mine"), everything=Suspension(NOON + 5, "frozen"))
    assert both.suspended("web", Suspend(reason="spec"), 0) == "spec"
    assert both.suspended("web", Suspend(reason="spec"), NOON - 1) == "mine"
    assert both.suspended("shop", None, 0) == "everything is suspended: frozen"
    assert policy(web=Suspension()).suspended("web", None, 0) == "suspended by hand"
    assert policy(everything=Suspension()).suspended("web", None, 0) == "everything is suspended"


def test_what_has_ended_suspends_nothing() -> None:
    ended = policy(web=Suspension(NOON), everything=Suspension(NOON - 1, "frozen"))
    assert (ended.suspended("web", None, 0), ended.suspension_ends("web", None, 0)) == ("", 0.0)


def test_a_suspension_ends_with_the_last_of_all_and_never_where_one_has_no_end() -> None:
    until = policy(web=Suspension(NOON + 10), everything=Suspension(NOON + 20))
    assert until.suspension_ends("web", None, 0) == NOON + 20
    assert until.suspension_ends("web", Suspend("later"), NOON + 30) == NOON + 30
    assert until.suspension_ends("web", Suspend("past"), NOON - 30) == NOON + 20
    assert until.suspension_ends("web", Suspend(), 0) == 0.0
    assert policy(web=Suspension(NOON + 10), everything=Suspension()).suspension_ends("web", None, 0) == 0.0
    assert (
        policy(web=Suspension(NOON - 9), everything=Suspension(NOON + 20)).suspension_ends("web", None, 0) == NOON + 20
    )


@given(st.lists(st.sampled_from([0.0, NOON - 1, NOON, NOON + 1, NOON + 2]), min_size=3, max_size=3))
def test_what_suspends_now_does_not_when_it_is_said_to_have_ended(ends: list[float]) -> None:
    given_by_hand = {"web": Suspension(ends[0]), EVERYTHING: Suspension(ends[1])}
    now = Policy(now=NOON, suspensions=given_by_hand)
    end = now.suspension_ends("web", Suspend("x"), ends[2])
    if now.suspended("web", Suspend("x"), ends[2]):
        assert bool(end) == (0.0 not in ends)
        if end:
            assert Policy(now=end, suspensions=given_by_hand).suspended("web", Suspend("x"), ends[2]) == ""


# -- windows


def test_the_windows_of_an_app_and_of_everything_must_both_be_open() -> None:
    assert Policy(now=NOON).closed_until(()) is None
    assert Policy(now=NOON, windows=(ALWAYS,)).closed_until((ALWAYS,)) is None
    opens = Policy(now=NOON).closed_until((NIGHTS,))
    assert opens is not None
    assert opens > NOON
    assert opens % 86400 == 22 * 3600
    assert Policy(now=NOON, windows=(NIGHTS,)).closed_until(()) == opens
    assert Policy(now=NOON, windows=(NIGHTS,)).closed_until((ALWAYS,)) == opens
    assert Policy(now=NOON, windows=(DENIED,)).closed_until((ALWAYS,)) == 0.0


def test_whoever_forces_a_sync_does_not_wait_for_a_window() -> None:
    assert Policy(now=NOON, windows=(DENIED,), force=True).closed_until((NIGHTS,)) is None


# -- removals


@pytest.mark.parametrize(
    ("removals", "live", "many"),
    [(0, 0, False), (1, 1, False), (2, 2, True), (1, 2, False), (3, 4, False), (3, 3, True), (4, 10, True),
     (4, 13, True), (4, 14, False), (3, 100, False), (30, 100, False), (31, 100, True), (0, 9, False)],
)  # fmt: skip
def test_more_than_three_and_thirty_in_a_hundred_is_too_many_and_so_are_all(
    removals: int, live: int, many: bool
) -> None:
    assert Policy().too_many(removals, live) is many


@given(st.integers(1, 5000))
def test_thirty_in_a_hundred_is_not_more_than_thirty_in_a_hundred(tens: int) -> None:
    assert not Policy().too_many(3 * tens, 10 * tens)
    assert Policy().too_many(3 * tens + 1, 10 * tens)


def test_a_limit_that_was_set_counts_instead_but_not_for_all_apps() -> None:
    assert not Policy(max_removals=5).too_many(5, 6)
    assert Policy(max_removals=5).too_many(6, 100)
    assert Policy(max_removals=0).too_many(1, 100)
    assert Policy(max_removals=5).too_many(2, 2)


def test_without_the_folder_of_apps_nothing_is_removed_unless_somebody_said_so() -> None:
    assert Policy(apps_dir_found=False).too_many(1, 100)
    assert not Policy(apps_dir_found=False).too_many(0, 100)
    assert not Policy(apps_dir_found=False, revision="c0ffee12", removals_allowed="c0ffee").too_many(9, 9)


@pytest.mark.parametrize(
    ("allowed", "counts"), [("c0ffee12", True), ("c0ff", True), ("", False), ("c0ffee123", False), ("0ffee", False)]
)
def test_a_removal_is_acknowledged_for_the_commit_that_was_named_alone(allowed: str, counts: bool) -> None:
    assert Policy(revision="c0ffee12", removals_allowed=allowed).removals_acknowledged is counts
    assert not Policy(revision="", removals_allowed=allowed).removals_acknowledged


def test_what_is_observed_is_known_and_without_a_list_everything_is() -> None:
    assert Policy().knows("anywhere")
    assert Policy(observed=frozenset({"n1"})).knows("n1")
    assert not Policy(observed=frozenset({"n1"})).knows("n2")
    assert not Policy(observed=frozenset()).knows("n1")
