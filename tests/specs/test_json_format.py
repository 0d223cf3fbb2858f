"""JSON: strict, with places for faults and fields."""

import pytest

from specs.document import MalformedError
from specs.json_format import read_json


def fault(text):
    with pytest.raises(MalformedError) as caught:
        read_json(text)
    first = caught.value.faults[0]
    return first.message, first.line, first.column


def test_every_field_has_its_place():
    text = '{"name": "web",\n "health": {\n  "port": 1},\n "a": [1,\n  {"b": 2}]}'
    assert read_json(text).locate() == {
        ("name",): (1, 2),
        ("health",): (2, 2),
        ("health", "port"): (3, 3),
        ("a",): (4, 2),
        ("a", 0): (4, 8),
        ("a", 1): (5, 3),
        ("a", 1, "b"): (5, 4),
    }


def test_signs_inside_of_text_mislead_nobody():
    text = '{"a": "} , \\" [",\n "b\\"": 1}'
    assert read_json(text).locate() == {("a",): (1, 2), ('b"',): (2, 2)}


def test_duplicate_keys_are_faults_wherever_they_stand():
    document = read_json('{"a": {"b": 1,\n"b": 2},\n"a": 1}')
    assert [(f.path, f.message, f.line, f.column) for f in document.faults] == [
        (("a", "b"), "is given twice (first on line 1)", 2, 1),
        (("a",), "is given twice (first on line 1)", 3, 1),
    ]


def test_the_same_key_in_two_objects_is_no_fault():
    assert read_json('{"a": {"x": 1}, "b": [{"x": 1}, {"x": 2}]}').faults == ()


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ('{"a" 1}', "expecting ':' delimiter", 1, 6),
        ('{"a": 1}\n{"b": 2}', "extra data", 2, 1),
        ('{"a": NaN}', "NaN is not JSON", 1, 7),
        ('{"a": "NaN",\n"b": [-Infinity]}', "-Infinity is not JSON", 2, 7),
        ("[1]", 'must be an object of fields such as {"name": "web"}, not a list', 1, 1),
        ("5", 'must be an object of fields such as {"name": "web"}, not a single value', 1, 1),
        ('{"a": ' + "9" * 5000 + "}", "holds a number that is too long", 1, 1),
        (" \n", "is empty; a spec needs at least name and version", 1, 1),
    ],
)
def test_each_fault_has_its_line_and_column(text, message, line, column):
    assert fault(text) == (message, line, column)


def test_messages_repeat_no_part_of_the_text():
    assert "s3cret" not in fault('{"env": {"A": s3cret}}')[0]
    assert "s3cret" not in fault('{"env": {"A": "s3cret')[0]
