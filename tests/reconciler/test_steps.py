"""The steps that runs are made of."""

from __future__ import annotations

from reconciler.plan import TASKS, Change
from reconciler.steps import (
    CONTROL,
    PULL,
    change_step,
    diff_step,
    manual_step,
    node_queue,
    observe_step,
    parse_step,
    share_step,
    stamps,
)


def test_what_concerns_a_node_goes_to_its_queue_and_all_else_to_the_common_one() -> None:
    change = Change("web", "n1", "deploy")
    on_node = [observe_step("n1"), change_step(change, "abc"), manual_step("remove", "web", "n1", "1")]
    common = [PULL, parse_step("abc"), share_step(0, "abc", []), diff_step("abc", ["parse"])]
    assert {step.queue for step in on_node} == {node_queue("n1")}
    assert {step.queue for step in common} == {CONTROL}


def test_a_change_becomes_the_step_of_the_task_that_does_it() -> None:
    change = Change("web", "n1", "repair", "r1-e1-d1", "1.1", "1.0", "r0-e1-d1", "Drift", needs=("db@n1",))
    step = change_step(change, "abc", {"fetch": 0.5})
    assert (step.id, step.resource, step.task, step.action) == ("web@n1", "web@n1", "deploy", "repair")
    assert (step.digest, step.version, step.from_digest, step.from_version) == ("r1-e1-d1", "1.1", "r0-e1-d1", "1.0")
    assert (step.revision, step.reason, step.needs, step.payload) == (
        "abc",
        "Drift",
        ("db@n1",),
        {"since": {"fetch": 0.5}},
    )
    assert change_step(change, "abc").payload == {}
    assert set(TASKS.values()) == {"deploy", "upgrade", "reconfigure", "rollback", "remove"}


def test_two_askings_by_hand_are_two_steps_that_take_turns() -> None:
    one = manual_step("deploy", "web", "n1", "aa", action="restart", version="1.0", payload={"to": "0.9"})
    other = manual_step("deploy", "web", "n1", "bb")
    assert one.id != other.id
    assert one.resource == other.resource == "web@n1"
    assert (one.task, one.action, one.reason, one.version) == ("deploy", "restart", "ByHand", "1.0")
    assert one.payload == {"manual": True, "to": "0.9"}
    assert (other.action, other.payload) == ("deploy", {"manual": True})


def test_the_parse_passes_on_what_the_diff_must_wait_for() -> None:
    assert parse_step("abc", ["observe@n1"], "ab").payload == {"before_diff": ["observe@n1"], "since": "ab"}
    assert diff_step("abc", ["parse", "observe@n1"]).needs == ("parse", "observe@n1")


def test_a_message_is_stamped_with_what_people_look_for() -> None:
    step = change_step(Change("web", "n1", "deploy", version="1.0"), "0123456789abcdef")
    assert stamps(step) == {"app": "web", "revision": "0123456789ab", "node": "n1", "version": "1.0"}
