"""The section `health`: each type has its own fields."""

import pytest
from marshmallow import ValidationError

from specs.health_schema import HealthSection
from specs.model import Health


def refusal(**fields):
    with pytest.raises(ValidationError) as caught:
        HealthSection().load(fields)
    return {name: messages[0] for name, messages in caught.value.messages.items()}


def test_defaults_are_those_of_the_design():
    assert HealthSection().load({}) == Health("http", 8080, "/health", 30.0, 5.0, 30.0, 3)


def test_custom_takes_a_command_or_a_check():
    assert HealthSection().load({"type": "custom", "command": ["a"]}) == Health("custom", command=("a",))
    assert HealthSection().load({"type": "custom", "check": "m:f"}) == Health("custom", check="m:f")
    assert refusal(type="custom") == {"type": "custom needs a command, or a check such as module:function"}
    assert refusal(type="custom", command="a", check="m:f") == {"check": "cannot go together with command"}


def test_fields_of_another_type_are_named_as_such():
    assert set(refusal(type="tcp", path="/x", command="a")) == {"path", "command"}
    assert set(refusal(type="custom", command="a", port=1)) == {"port"}
    assert set(refusal(check="m:f")) == {"check"}


@pytest.mark.parametrize("path", ["health", "", "/a b", "/a\nb", "//é"])
def test_a_path_is_what_a_request_line_can_hold(path):
    assert set(refusal(path=path)) == {"path"}


def test_times_and_counts_are_checked():
    assert set(refusal(interval=0, timeout="soon", grace=-1, threshold=0, port=70000)) == {
        "interval",
        "timeout",
        "grace",
        "threshold",
        "port",
    }
