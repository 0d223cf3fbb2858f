"""TOML: places for faults, and for fields as well as lines can tell them."""

import pytest

from specs.document import MalformedError
from specs.toml_format import read_toml


def fault(text):
    with pytest.raises(MalformedError) as caught:
        read_toml(text)
    first = caught.value.faults[0]
    return first.message, first.line, first.column


def test_fields_are_found_by_their_lines():
    text = 'name = "web"\n[health]\n  port = 1\n[source]\nurl = "x"\n[upgrade]\n"strategy" = "restart"\n'
    assert read_toml(text).locate() == {
        ("name",): (1, 1),
        ("health",): (2, 2),
        ("health", "port"): (3, 3),
        ("source",): (4, 2),
        ("source", "url"): (5, 1),
        ("upgrade",): (6, 2),
        ("upgrade", "strategy"): (7, 1),
    }


def test_dotted_keys_and_lists_of_tables_are_found():
    places = read_toml("health.port = 1\n[[a]]\nb = 1\n[[a]]\nb = 2\n").locate()
    assert places["health", "port"] == (1, 1)
    assert places["health",] == (1, 1)
    assert places["a", 1, "b"] == (5, 1)


def test_lines_inside_long_text_are_not_fields():
    assert ("port",) not in read_toml('a = """\nport = 1\n"""\nb = 1\n').locate()
    assert read_toml('a = """\nport = 1\n"""\nb = 1\n').locate()["b",] == (4, 1)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\na = 2\n", 2), ("a = \n", 1), ("a: 1\n", 1), ('b = 1\na = "x\n', 2), ("[a]\n[a]\n", 2), ("a = [1,\n", 1)],
)
def test_each_fault_has_its_line(text, line):
    message, found, column = fault(text)
    assert message
    assert found == line
    assert column >= 1


def test_a_date_that_does_not_exist_is_malformed():
    assert fault("a = 2030-02-31\n")[1] == 1


def test_a_number_of_thousands_of_digits_is_malformed():
    assert fault("a = " + "9" * 5000)[0] == "holds a number or date that cannot be read"


def test_a_long_list_of_hosts_is_no_nesting():
    hosts = ",".join(f"h{n}.example.com" for n in range(200))
    assert read_toml(f'a = "{hosts}"\n').data == {"a": hosts}
