"""What sections have in common."""

import pytest
from marshmallow import ValidationError

from specs.fields import Text
from specs.section import Part, Section, belongs, only_for, raise_all


class Inner(Section):
    """A section for these tests."""

    word = Text("x", required=True)


class Outer(Section):
    """A section that holds another."""

    inner = Part(Inner, "x")


def test_a_section_takes_only_what_is_declared():
    assert Outer().load({"inner": {"word": "a"}}) == {"inner": {"word": "a"}}
    with pytest.raises(ValidationError) as caught:
        Outer().load({"inner": {"wrd": 1}, "other": 1})
    assert caught.value.messages == {
        "inner": {"word": ["is required"], "wrd": ["unknown field"]},
        "other": ["unknown field"],
    }


def test_a_section_without_a_value_says_so():
    with pytest.raises(ValidationError) as caught:
        Outer().load({"inner": None})
    assert caught.value.messages == {"inner": ["has no value; give one, or remove the line"]}


def test_fields_that_belong_elsewhere_are_found():
    owners = {"url": ("git",), "ref": ("git", "hg")}
    assert belongs({"url": 1, "ref": 2}, "hg", owners, "type") == {"url": ["belongs to type git, and this type is hg"]}
    rules = only_for(owners, "hg")
    assert rules[0]["then"] == {"properties": {"type": {"enum": ["git"]}}, "required": ["type"]}
    assert rules[1]["then"] == {"properties": {"type": {"enum": ["git", "hg"]}}}


def test_nothing_found_raises_nothing():
    raise_all({})
    with pytest.raises(ValidationError):
        raise_all({"a": ["x"]})
