"""YAML, read in full: core semantics, bounds on aliases, and a line and column for every fault."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs import yaml_simple
from specs.document import MalformedError
from specs.yaml_format import read_full, read_yaml

ENV = frozenset({"env"})
WORDS = st.sampled_from(
    [
        "web",
        "1.10",
        "010",
        "NO",
        "on",
        "true",
        "True",
        "~",
        "null",
        "7",
        "-3",
        "a b",
        "x:y",
        "a#b",
        "'q q'",
        '"d: # d"',
        "postgres://u:p@db/x",
        "$PORT",
        "[a, b]",
        "[]",
        "{}",
        "{a: 1, b: x}",
        "-x",
        "--flag",
        "é ü",
        "",
        "a #c",
        "a, b",
        "1e5",
        "[a,b]",
        "{a:1}",
        "[1.10, 'x']",
    ]
)
KEYS = st.sampled_from(["name", "env", "source", "A_B", "x-y", "port", "n.m"])


@st.composite
def block_texts(draw):
    """Texts of lines that look like a spec, well indented or nearly so."""
    lines = []
    for _ in range(draw(st.integers(1, 9))):
        indent = " " * draw(st.sampled_from([0, 0, 0, 2, 2, 4, 1]))
        kind = draw(st.integers(0, 9))
        if kind == 0:
            lines.append(draw(st.sampled_from(["", "# note", "  # note", "---", "..."])))
        elif kind <= 3:
            lines.append(f"{indent}- {draw(WORDS)}")
        elif kind == 4:
            lines.append(f"{indent}{draw(WORDS)}")
        else:
            lines.append(f"{indent}{draw(KEYS)}: {draw(WORDS)}")
    return "\n".join(lines)


@settings(max_examples=600, deadline=None)
@given(text=block_texts())
def test_the_fast_reader_agrees_with_the_full_one_or_steps_aside(text):
    simple = yaml_simple.read(text, ENV)
    if simple is not None:
        full = read_full(text, ENV)
        assert repr(simple[0]) == repr(full.data)
        assert dict(simple[1]) == dict(full.locate())
        assert full.faults == ()


def fault(text):
    with pytest.raises(MalformedError) as caught:
        read_yaml(text)
    first = caught.value.faults[0]
    return first.message, first.line, first.column


def test_words_that_older_yaml_reads_as_truth_or_octal_stay_text():
    text = "a: NO\nb: on\nc: 010\nd: yes\ne: 0x1F\nf: 1_000\ng: 2030-01-31\nh: 1:30\n"
    assert list(read_full(text).data.values()) == ["NO", "on", "010", "yes", "0x1F", "1_000", "2030-01-31", "1:30"]


def test_core_constants_and_numbers_are_values():
    data = read_full("a: true\nb: ~\nc: null\nd:\ne: -5\nf: 1.5\ng: .inf\nh: FALSE\n").data
    assert data == {"a": True, "b": None, "c": None, "d": None, "e": -5, "f": 1.5, "g": float("inf"), "h": False}


def test_quoted_words_are_always_text():
    assert read_full("a: \"1.10\"\nb: 'true'\nc: ''\n").data == {"a": "1.10", "b": "true", "c": ""}


@pytest.mark.parametrize("reader", [read_yaml, read_full])
def test_words_of_a_literal_field_stay_as_written(reader):
    data = reader("env:\n  A: True\n  B: 1.10\n  C: ~\n  D: [1, true]\nrest:\n  A: True\n", ENV).data
    assert data == {"env": {"A": "True", "B": "1.10", "C": None, "D": [1, True]}, "rest": {"A": True}}


def test_literal_fields_in_flow_style_stay_as_written_too():
    assert read_yaml("env: {A: True, B: 1.10}\n", ENV).data == {"env": {"A": "True", "B": "1.10"}}


def test_a_key_is_text_whatever_it_looks_like():
    assert read_full("1: a\ntrue: b\n").data == {"1": "a", "true": "b"}


def test_duplicate_keys_are_faults_that_name_the_first():
    document = read_yaml("a: 1\nb:\n  c: 1\n  c: 2\na: 2\n")
    assert [(f.path, f.message, f.line, f.column) for f in document.faults] == [
        (("b", "c"), "is given twice (first on line 3)", 4, 3),
        (("a",), "is given twice (first on line 1)", 5, 1),
    ]
    assert document.data == {"a": 1, "b": {"c": 1}}


def test_a_tab_is_named_as_such():
    assert fault("a:\n\tb: 1\n") == ("a tab cannot be used here; indent with spaces", 2, 1)


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("- a\n- b\n", "must be a mapping of fields such as `name: web`, not a list", 1, 1),
        ("\nhello\n", "must be a mapping of fields such as `name: web`, not a single value", 2, 1),
        ("a: 1\n---\nb: 2\n", "holds more than one document; a file is one app", 2, 1),
        ("a: b: c\n", "mapping values are not allowed here", 1, 5),
        ("a: 1\nb: \x07\n", "holds a character that YAML does not allow (U+0007)", 2, 4),
        ("a: !!python/object/apply:os.system [x]\n", "this tag is not supported; write the value plainly", 1, 4),
        ("a: !!map x\n", "`!!map` does not fit the value behind it", 1, 4),
        ("? [a]\n: b\n", "a key must be a word, not a list or a mapping", 1, 3),
        (": b\n", "a key is missing before this colon", 1, 1),
        ("a: *x\n", "alias `x` has no anchor before it", 1, 4),
        ("a: &x [*x]\n", "alias `x` stands inside what it repeats", 1, 8),
        ("a: &x 1\n*x : 2\n", "a key must be a word, not an alias", 2, 1),
        ("a:\n  <<: 5\n", "`<<` takes a mapping, or a list of mappings", 2, 7),
        ("%YAML 1.1\n---\na: 1\n", "directives are not supported; remove this line", 1, 1),
        ("# only a comment\n", "is empty; a spec needs at least name and version", 1, 1),
    ],
)
def test_each_fault_has_its_line_and_column(text, message, line, column):
    assert fault(text) == (message, line, column)


def test_exploding_anchors_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    message, line, _ = fault("\n".join(lines))
    assert message == "holds more than 50,000 values, aliases included"
    assert line <= 8


def test_aliases_cannot_nest_deeper_than_plain_text():
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 40)]
    assert fault("\n".join(lines))[0] == "is nested more than 30 levels deep"


def test_exploding_merges_are_refused():
    base = "a: &a {" + ", ".join(f"k{n}: 1" for n in range(1000)) + "}\n"
    assert "50,000" in fault(base + "".join(f"b{n}: {{<<: *a}}\n" for n in range(100)))[0]


def test_merge_keys_fill_in_what_is_not_given():
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: [*a, *b]\n  x: 9\n"
    assert read_full(text).data["c"] == {"x": 9, "y": 2, "z": 4}


def test_an_alias_repeats_the_value_of_its_anchor():
    assert read_full("a: &a [1, 2]\nb: *a\n").data == {"a": [1, 2], "b": [1, 2]}


def test_block_text_keeps_its_lines():
    assert read_full("a: |\n  one\n  two\nb: >\n  one\n  two\n").data == {"a": "one\ntwo\n", "b": "one two\n"}


def test_messages_repeat_no_part_of_the_text():
    for text in ("env:\n  A: s3cret: s3cret\n", "env:\n  A: 's3cret\n", "env: {A: s3cret\n", "env:\n  A: @s3cret\n"):
        assert "s3cret" not in fault(text)[0]
