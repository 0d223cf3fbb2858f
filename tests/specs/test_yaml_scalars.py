"""What an unquoted word means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.document import WrittenFloat
from specs.yaml_scalars import is_null, resolve


@given(text=st.text(max_size=20))
def test_every_word_has_a_meaning(text):
    value = resolve(text)
    assert value is None or isinstance(value, str | int | float | bool)


@pytest.mark.parametrize("number", ["0", "7", "-7", "1234567"])
def test_whole_numbers_are_numbers(number):
    assert resolve(number) == int(number)


@pytest.mark.parametrize("number", ["1.10", "-.5", "1.", "1e5", "+1.5", ".inf", "-.inf", ".nan"])
def test_fractions_are_numbers_that_remember_their_text(number):
    value = resolve(number)
    assert isinstance(value, WrittenFloat)
    assert value.text == number


@pytest.mark.parametrize(
    "word", ["NO", "off", "010", "0o17", "0x1F", "1_000", "+5", "-0", "2030-01-31", "1.2.3", "9" * 5000]
)
def test_other_words_stay_text(word):
    assert resolve(word) == word


def test_only_the_spellings_of_null_are_null():
    assert [word for word in ("", "~", "null", "NULL", "none", "nil") if is_null(word)] == ["", "~", "null", "NULL"]
