"""What the launcher reads and writes, against the library that it does without."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes import launching
from runtimes.launching import expand, parse, written

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_is_read_as_the_library_reads_it(value: object) -> None:
    assert parse(json.dumps(value)) == value
    assert parse(json.dumps(value, indent=1, ensure_ascii=False) + "\n") == value


@pytest.mark.parametrize("text", ["", "{", '{"a": }', "{} {}", "nonsense", '"\n"'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@given(st.dictionaries(st.from_regex(r"[a-z]+", fullmatch=True), st.integers() | st.text() | JSON))
def test_a_stamp_can_be_read_again(stamp: dict[str, object]) -> None:
    assert json.loads(written(stamp)) == stamp


def test_a_python_whose_json_asks_for_more_is_no_hindrance(monkeypatch: pytest.MonkeyPatch) -> None:
    def scanner(context: object) -> None:
        raise AttributeError("a hook that is new")

    monkeypatch.setattr(launching, "make_scanner", scanner)
    assert parse('{"a": [1]}') == {"a": [1]}


def test_variables_are_replaced_and_what_has_none_stays() -> None:
    assert expand(["a", "-b"], {"a": "1"}) == ["a", "-b"]
    assert expand(["$A-${B}", "$$A", "$ä"], {"A": "1", "B": "2"}) == ["1-2", "$A", "$ä"]
