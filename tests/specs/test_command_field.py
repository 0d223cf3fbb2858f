"""Commands become argument lists, and never see a shell."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from specs.command_field import Command
from specs.document import WrittenFloat

FIELD = Command("x")


def refusal(value):
    with pytest.raises(ValidationError) as caught:
        FIELD.deserialize(value)
    return caught.value.messages


def test_a_line_is_split_like_a_shell_would():
    assert FIELD.deserialize("gunicorn 'a b' --bind $HOST:$PORT; x") == (
        "gunicorn",
        "a b",
        "--bind",
        "$HOST:$PORT;",
        "x",
    )


def test_a_list_is_taken_as_it_is_and_numbers_as_written():
    assert FIELD.deserialize(["gunicorn", "-w", 4, WrittenFloat("1.10"), ""]) == ("gunicorn", "-w", "4", "1.10", "")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a 'b", ["cannot be split into words: no closing quotation"]),
        ("", ["names no program"]),
        ([], ["names no program"]),
        (["", "x"], ["names no program"]),
        ({"a": 1}, ["must be a list of words, or one line of text"]),
        (["a", True], {1: ["must be text; write it in quotes"]}),
        (["a", "b\nc"], {1: ["must not hold control characters or line breaks"]}),
        ("a 'b\nc'", ["must not hold control characters or line breaks"]),
        (["a", "x" * 200_000], {1: ["is longer than any system accepts"]}),
    ],
)
def test_other_values_are_refused_with_their_place(value, said):
    assert refusal(value) == said


@settings(max_examples=150, deadline=None)
@given(value=st.text(max_size=40) | st.lists(st.text(max_size=10), max_size=5))
def test_any_value_gives_words_or_a_refusal(value):
    try:
        words = FIELD.deserialize(value)
    except ValidationError:
        return
    assert words[0]
    assert all(isinstance(word, str) and "\n" not in word and "\0" not in word for word in words)
