"""Events and faults of ruamel's parser, in our words."""

import pytest

from specs.document import MalformedError
from specs.yaml_events import events


def fault(text):
    with pytest.raises(MalformedError) as caught:
        list(events(text))
    (only,) = caught.value.faults
    return only.message, only.line, only.column


def test_events_come_in_order_with_their_places():
    kinds = [(type(event).__name__, event.start_mark.line) for event in events("a:\n- 1\n")]
    assert [name for name, _ in kinds if name in {"ScalarEvent", "MappingStartEvent", "SequenceStartEvent"}] == [
        "MappingStartEvent",
        "ScalarEvent",
        "SequenceStartEvent",
        "ScalarEvent",
    ]
    assert kinds[-3][1] == 2


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a: 1\nb: [1\n", "expected ',' or ']', but got '<stream end>'", 3, 1),
        ("a:\n\t- b\n", "a tab cannot be used here; indent with spaces", 2, 1),
        ("a: 1\n\x00", "holds a character that YAML does not allow (U+0000)", 2, 1),
        ("%YAML 1.2\n---\na: 1\n", "directives are not supported; remove this line", 1, 1),
        ("a: 1\nb: !" + "x" * 1000, "this tag is not supported; write the value plainly", 2, 4),
    ],
    ids=["flow", "tab", "nul", "directive", "tag"],
)
def test_each_fault_is_one_line_with_a_place(text, message, line, column):
    assert fault(text) == (message, line, column)


@pytest.mark.parametrize("text", ['a: "\\UFFFFFFFF"', "a: !<", "%TAG ! !x\n", "&", "a: !%ZZ x", "%YAML x\n---\n"])
def test_odd_input_is_malformed_and_nothing_else(text):
    assert fault(text)[1] >= 1


def test_a_tag_of_a_megabyte_is_refused_unread():
    assert fault("!" * 1_000_000) == ("this tag is not supported; write the value plainly", 1, 1)
