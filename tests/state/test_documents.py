"""`state.documents`: what is stored can be read again, and what is not ours is refused."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.documents import DocumentError, Remembered, decode, decode_mapping, encode
from state.holds import Hold
from state.steps import Step


@dataclass(frozen=True, slots=True)
class Note:
    text: str = ""
    number: float = 0.0
    names: tuple[str, ...] = ()
    more: dict[str, int] = field(default_factory=dict)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.builds(
        Note,
        TEXT,
        st.floats(allow_nan=False, allow_infinity=False),
        st.lists(TEXT).map(tuple),
        st.dictionaries(TEXT, st.integers(-(2**62), 2**62)),
    )
)
@settings(max_examples=50, deadline=None)
def test_a_value_is_read_as_it_was_written(note: Note) -> None:
    assert decode(Note, encode(note)) == note


@given(st.dictionaries(TEXT.filter(lambda name: name != "schema"), st.none() | st.booleans() | TEXT))
@settings(max_examples=50, deadline=None)
def test_a_mapping_is_read_as_it_was_written(mapping: dict[str, object]) -> None:
    assert decode_mapping(encode(mapping)) == mapping


def test_every_document_says_its_schema_first() -> None:
    assert encode({}) == '{"schema":1}'
    assert encode(Step("a", "b", "c")).startswith('{"schema":1,"id":"a",')


def test_a_document_of_a_newer_version_is_refused_and_says_so() -> None:
    with pytest.raises(DocumentError, match="a stored Note has schema version 2, this Celeriac reads 1") as caught:
        decode(Note, '{"schema":2,"text":"a"}')
    assert "same version of Celeriac" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{}", "null", "[1]", "no json", '{"text":"a"}', '{"schema":10,"text":"a"}'])
def test_what_has_no_schema_that_we_know_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        decode(Note, text)


@pytest.mark.parametrize("rest", ['"text":1}', '"text":"a"', '"names":"a"}'])
def test_what_does_not_fit_is_refused_with_its_type(rest: str) -> None:
    with pytest.raises(DocumentError, match="a stored Note cannot be read"):
        decode(Note, '{"schema":1,' + rest)


def test_a_field_that_a_later_version_added_is_passed_over() -> None:
    assert decode(Note, '{"schema":1,"text":"a","colour":"red"}') == Note("a")


def test_a_document_is_decoded_anew_only_when_its_text_is_another() -> None:
    read = Remembered(Hold)
    first = {name: Hold(name, "d1", "1.0", 1.0, "why") for name in ("a", "b")}
    texts = {name: encode(value) for name, value in first.items()}
    before = read.decode(texts)
    assert before == first
    texts["b"] = encode(Hold("b", "d2", "1.0", 1.0, "why"))
    after = read.decode(texts)
    assert after["a"] is before["a"]
    assert after["b"].digest == "d2"
    assert read.decode({"b": texts["b"]}) == {"b": after["b"]}


def test_a_damaged_one_among_many_is_an_error_and_forgets_nothing() -> None:
    read = Remembered(Hold)
    good = {"a": encode(Hold("a", "d1", "1.0", 1.0, "why"))}
    before = read.decode(good)
    with pytest.raises(DocumentError):
        read.decode({**good, "b": "{}"})
    assert read.decode(good)["a"] is before["a"]
