"""The small pieces that every format shares."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.document import (
    MalformedError,
    WrittenFloat,
    check_bounds,
    check_characters,
    nearest,
    printable,
    spelled,
)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_nesting_is_allowed_to_the_bound_and_not_beyond():
    check_bounds(nested(30))
    with pytest.raises(MalformedError, match="30 levels"):
        check_bounds(nested(31))


def test_very_deep_data_is_refused_without_recursion():
    with pytest.raises(MalformedError):
        check_bounds(nested(100_000))


def test_values_are_allowed_to_the_bound_and_not_beyond():
    check_bounds({"a": [1] * 49_998})
    with pytest.raises(MalformedError, match="50,000"):
        check_bounds({"a": [1] * 50_000})


@pytest.mark.parametrize("data", [{"a": ["x\0"]}, {"a\0": 1}, {"a": {"b": "\ud800"}}])
def test_unfit_characters_are_found_in_keys_and_values(data):
    with pytest.raises(MalformedError, match="character"):
        check_characters(data, lambda: {("a",): (3, 1)})


def test_every_unfit_character_is_told_in_the_order_of_the_file():
    data = {"env": {"A": "x\0", "B": "fine"}, "list": ["\0"]}
    positions = {("env", "A"): (2, 3), ("list",): (5, 1), ("list", 0): (5, 8)}
    with pytest.raises(MalformedError) as caught:
        check_characters(data, lambda: positions)
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(2, 3), (5, 8)]


def test_a_field_without_a_position_takes_that_of_the_field_around_it():
    positions = {("a",): (1, 1), ("a", "b"): (2, 3)}
    assert nearest(positions, ("a", "b", 0, "c")) == (2, 3)
    assert nearest(positions, ("z",)) == (0, 0)
    assert nearest(positions, ()) == (0, 0)


def test_paths_are_spelled_as_people_write_them():
    assert spelled(("health", "port")) == "health.port"
    assert spelled(("depends_on", 1)) == "depends_on[1]"
    assert spelled(()) == ""


@settings(deadline=None, max_examples=100)
@given(key=st.text(max_size=200))
def test_a_shown_key_is_printable_and_short(key):
    shown = printable(key)
    assert shown.isprintable()
    assert len(shown) <= 81


def test_a_written_float_is_a_number_with_its_text():
    assert WrittenFloat("1.10") == 1.1
    assert WrittenFloat("1.10").text == "1.10"
    assert WrittenFloat("-.inf") == float("-inf")
