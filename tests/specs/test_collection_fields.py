"""Lists and mappings: every fault of every item, at its place."""

import pytest
from marshmallow import ValidationError

from specs.collection_fields import ListOf, MapOf
from specs.fields import Flag, Text

NAMES = ListOf("x", Text("y", pattern="[a-z]+", wanted="must be a word"), example="[a, b]", empty_word="all")
FLAGS = MapOf("x", Flag("y"), key="[a-z_]+", wanted="must be a word", example="a: true", least=1, reserved="own_")


def refusal(field, value):
    with pytest.raises(ValidationError) as caught:
        field.deserialize(value)
    return caught.value.messages


def test_lists_become_tuples_and_the_empty_word_the_empty_one():
    assert NAMES.deserialize(["b", "a"]) == ("b", "a")
    assert NAMES.deserialize("all") == ()
    assert NAMES.deserialize([]) == ()


def test_every_bad_item_of_a_list_is_reported():
    assert refusal(NAMES, ["a", "B", "a", 5]) == {
        1: ["must be a word"],
        2: ["is listed twice"],
        3: ['is read as a number; write it in quotes: "5"'],
    }
    assert refusal(NAMES, "db") == ["must be a list, as in [a, b]"]


def test_every_bad_entry_of_a_mapping_is_reported():
    assert FLAGS.deserialize({"a": True}) == {"a": True}
    assert refusal(FLAGS, {"A": True, "own_x": True, "b": 1, "c": None}) == {
        "A": ["must be a word"],
        "own_x": ["names that start with own_ are Celeriac's own"],
        "b": ["must be true or false, without quotes"],
        "c": ["has no value; give one, or remove the line"],
    }
    assert refusal(FLAGS, {}) == ["must not be empty"]
    assert refusal(FLAGS, ["a"]) == ["must be a mapping, as in a: true"]
