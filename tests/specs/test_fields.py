"""The kinds of values: what each takes, and what it says to the rest."""

import pytest
from marshmallow import ValidationError

from specs.document import WrittenFloat
from specs.fields import Amount, Choice, Duration, Flag, Port, Size, Text, Whole, not_text


def refusal(field, value):
    with pytest.raises(ValidationError) as caught:
        field.deserialize(value)
    (message,) = caught.value.messages
    return message


def test_text_is_one_line_of_bounded_length():
    field = Text("x", longest=5)
    assert field.deserialize("a b") == "a b"
    assert "at most 5" in refusal(field, "abcdef")
    assert "control characters" in refusal(field, "a\nb")
    assert Text("x", lines=True).deserialize("a\nb") == "a\nb"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (WrittenFloat("1.10"), 'is read as a number; write it in quotes: "1.10"'),
        (7, 'is read as a number; write it in quotes: "7"'),
        (True, 'must be text; write it in quotes, as in "true"'),
        ([], "must be text, not a list or mapping"),
        (10**5000, 'is read as a number; write it in quotes: "…"'),
    ],
    ids=["fraction", "whole", "flag", "list", "long"],
)
def test_what_is_not_text_is_told_how_to_become_it(value, said):
    assert not_text(value) == said
    assert refusal(Text("x"), value) == said


def test_nothing_is_not_a_value():
    assert refusal(Text("x"), None) == "has no value; give one, or remove the line"


def test_ports_and_counts_have_bounds():
    assert Port("x").deserialize(65535) == 65535
    for value in (0, 65536, "80", True, 80.0, WrittenFloat("80.5")):
        assert refusal(Port("x"), value) == "must be 1..65535"
    assert refusal(Whole("x", 1, 3), 4) == "must be 1..3"


def test_choices_suggest_the_nearest():
    field = Choice("x", ("restart", "blue_green"))
    assert refusal(field, "blue-green") == "must be restart or blue_green. Did you mean `blue_green`?"
    assert refusal(field, ["restart"]) == "must be restart or blue_green"


def test_flags_are_not_words():
    assert Flag("x").deserialize(False) is False
    assert "without quotes" in refusal(Flag("x"), "false")
    assert refusal(Flag("x"), 1)


def test_amounts_are_above_zero_and_finite():
    assert Amount("x", 8).deserialize(WrittenFloat("0.5")) == 0.5
    for value in (0, -1, 9, WrittenFloat(".inf"), WrittenFloat(".nan"), True, "1"):
        assert "above 0" in refusal(Amount("x", 8), value)


def test_a_bare_duration_is_milliseconds():
    field = Duration("x", default="1s")
    assert [field.deserialize(v) for v in (500, "500", "30s", "2m", WrittenFloat("1.5"))] == [
        0.5,
        0.5,
        30.0,
        120.0,
        0.0015,
    ]
    for value in ("soon", "", "-1s", -1, 0, "0s", True, [], "9" * 40, WrittenFloat(".nan"), "400d"):
        assert "duration" in refusal(field, value) or "must be" in refusal(field, value)
    assert Duration("x", default="1s", zero=True).deserialize(0) == 0


def test_sizes_are_bytes():
    field = Size("x")
    assert [field.deserialize(v) for v in ("512MB", "1GiB", 1024)] == [512 * 10**6, 2**30, 1024]
    for value in ("big", "0", "-1MB", 0, True, WrittenFloat("1.5"), [], 16**9000, "99999999999999999999999GB"):
        assert refusal(field, value)
