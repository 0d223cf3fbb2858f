"""Environment variables: text as written, and no value ever in a message."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from specs.document import WrittenFloat
from specs.env_field import env_field

FIELD = env_field("x")


def refusal(value):
    with pytest.raises(ValidationError) as caught:
        FIELD.deserialize(value)
    return caught.value.messages


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x y", "x y"),
        ("", ""),
        ("two\nlines\t", "two\nlines\t"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (WrittenFloat("1.10"), "1.10"),
        ([1, "a", True, None], '[1,"a",true,null]'),
        ({"é": {"b": []}}, '{"é":{"b":[]}}'),
        (date(2030, 1, 31), "2030-01-31"),
        ([datetime(2030, 1, 31, 12, tzinfo=UTC)], '["2030-01-31T12:00:00+00:00"]'),
    ],
)
def test_values_become_text(value, text):
    assert FIELD.deserialize({"A": value}) == {"A": text}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CELERIAC_X", "Celeriac's own"),
        ("a-b", "name of an environment variable"),
        ("1A", "name"),
        ("", "name"),
        ("A=B", "name"),
    ],
)
def test_names_are_checked(name, said):
    assert said in refusal({name: "x"})[name][0]


def test_nothing_is_told_apart_from_empty_text():
    assert refusal({"A": None}) == {"A": ['has no value; write "" for an empty text']}


@pytest.mark.parametrize(
    "value",
    ["s3cret\0", "s3cret\x1b[0m", "s3cret" * 50_000, ["s3cret", WrittenFloat(".nan")], [10**5000], 10**5000],
    ids=["nul", "escape", "long", "nan", "digits in a list", "digits"],
)
def test_a_refused_value_is_never_repeated(value):
    assert "s3cret" not in str(refusal({"A": value}))
    assert "000000" not in str(refusal({"A": value}))


def test_a_list_of_assignments_is_told_the_right_form():
    assert refusal(["A=s3cret"]) == ["must be a mapping, as in DEBUG: false"]


@settings(max_examples=100, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_value_becomes_text_or_is_refused(value):
    try:
        made = FIELD.deserialize({"A": value})
    except ValidationError:
        return
    assert isinstance(made["A"], str)
