"""What holds for every format: bounds, encodings, and that no bytes make a reader fail in a way of its own."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.document import MalformedError, WrittenFloat
from specs.formats import MAX_BYTES, decode, read

FILES = ("app.yaml", "app.json", "app.toml")
ENTRIES = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
    st.recursive(
        st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"])),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    min_size=1,
    max_size=5,
)


def read_or_faults(path, blob):
    """What reading gave: a document and no faults, or no document and its faults."""
    try:
        return read(path, blob, frozenset({"env"})), ()
    except MalformedError as error:
        return None, error.faults


def fault(path, blob):
    with pytest.raises(MalformedError) as caught:
        read(path, blob)
    assert all(f.message for f in caught.value.faults)
    return caught.value.faults[0]


@pytest.mark.parametrize("path", FILES)
@settings(max_examples=150, deadline=None)
@given(blob=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_document_or_a_malformed_error(path, blob):
    document, faults = read_or_faults(path, blob)
    assert all(f.message and f.message.isprintable() for f in faults)
    if document is None:
        assert faults
    else:
        assert isinstance(document.data, dict)
        document.locate()


@settings(max_examples=400, deadline=None)
@given(
    text=st.text(st.sampled_from("ab:- \n#'\"[]{},&*!|>%@`?~<.0\t\\u"), max_size=60),
)
def test_text_full_of_yaml_signs_gives_a_document_or_a_malformed_error(text):
    document, faults = read_or_faults("app.yaml", text.encode())
    assert all(f.line >= 1 for f in faults)
    if document is not None:
        document.locate()


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.sampled_from("ab=.- \n#'\"[]{},01\t\\u:T"), max_size=60))
def test_text_full_of_toml_signs_gives_a_document_or_a_malformed_error(text):
    document, faults = read_or_faults("app.toml", text.encode())
    assert all(f.line >= 1 for f in faults)
    if document is not None:
        document.locate()


@settings(max_examples=100, deadline=None)
@given(data=ENTRIES)
def test_json_and_yaml_read_a_json_text_alike(data):
    blob = json.dumps(data).encode()
    assert read("a.json", blob).data == read("a.yaml", blob).data == data


@settings(max_examples=60, deadline=None)
@given(data=ENTRIES)
def test_json_and_yaml_find_every_field_of_a_json_text_at_the_same_place(data):
    blob = json.dumps(data, indent=2).encode()
    assert dict(read("a.json", blob).locate()) == dict(read("a.yaml", blob).locate())


@pytest.mark.parametrize("path", FILES)
def test_an_empty_file_is_malformed(path):
    for blob in (b"", b"\n\n", b"\xef\xbb\xbf"):
        assert "is empty" in fault(path, blob).message


@pytest.mark.parametrize("path", FILES)
def test_a_file_of_ten_megabytes_is_refused_unread(path):
    assert fault(path, b"a" * 10_000_000).message == "is larger than 1 MB"


@pytest.mark.parametrize("path", FILES)
def test_invalid_utf8_is_refused_with_its_place(path):
    found = fault(path, b"name: web\nok\xff")
    assert (found.message, found.line, found.column) == ("is not UTF-8 text", 2, 3)


@pytest.mark.parametrize("path", FILES)
def test_text_in_utf16_is_refused(path):
    assert fault(path, "name: web".encode("utf-16")).message == "is not UTF-8 text"


@pytest.mark.parametrize(
    ("path", "blob"),
    [
        ("a.yaml", b"a: " + b"[" * 500_000),
        ("a.yaml", b"a: " + b"{a: " * 200_000),
        ("a.yaml", b"- " * 400_000),
        ("a.json", b'{"a":' + b"[" * 900_000),
        ("a.json", b'{"a":' * 40 + b"1" + b"}" * 40),
        ("a.toml", b"a = " + b"[" * 900_000),
        ("a.toml", b"a." * 400_000 + b"a = 1"),
        ("a.toml", b"x = {" + b"a." * 400_000 + b"a = 1}"),
        ("a.toml", b"a." * 40 + b"a = 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_deep_nesting_is_refused(path, blob):
    assert "nested more than 30 levels" in fault(path, blob).message


@pytest.mark.parametrize(
    ("path", "blob"),
    [
        ("a.yaml", b"a: [" + b"1," * 60_000 + b"1]"),
        ("a.json", b'{"a": [' + b"1," * 60_000 + b"1]}"),
        ("a.toml", b"a = [" + b"1," * 60_000 + b"1]"),
    ],
    ids=["yaml", "json", "toml"],
)
def test_too_many_values_are_refused(path, blob):
    assert "more than 50,000 values" in fault(path, blob).message


@pytest.mark.parametrize("escaped", ["\\u0000", "\\ud800"])
@pytest.mark.parametrize("path", FILES)
def test_characters_that_text_cannot_hold_are_refused(path, escaped):
    texts = {"app.yaml": f'b: 1\na: "{escaped}"', "app.json": f'{{"b": 1,\n"a": "{escaped}"}}'}
    texts["app.toml"] = f'b = 1\na = "{escaped}"'
    assert fault(path, texts[path].encode()).line == 2


def test_an_unknown_ending_is_refused():
    assert "none of the known formats" in fault("app.ini", b"a=1").message


def test_windows_line_ends_and_a_byte_order_mark_change_nothing():
    assert decode(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n") == "a: 1\nb: 2\n"


def test_a_file_just_within_the_bound_is_read():
    blob = b"a: 1\n#" + b"x" * (MAX_BYTES - 6)
    assert len(blob) == MAX_BYTES
    assert read("a.yaml", blob).data == {"a": 1}


@pytest.mark.parametrize(
    ("path", "blob"), [("a.yaml", b"a: 1.10"), ("a.json", b'{"a": 1.10}'), ("a.toml", b"a = 1.10")]
)
def test_a_number_with_a_fraction_remembers_how_it_was_written(path, blob):
    value = read(path, blob).data["a"]
    assert isinstance(value, WrittenFloat)
    assert (value, value.text) == (1.1, "1.10")
