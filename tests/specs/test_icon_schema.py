"""The section `icon`."""

import pytest
from marshmallow import ValidationError

from specs.icon_schema import IconSection
from specs.model import Icon


def refusal(**fields):
    with pytest.raises(ValidationError) as caught:
        IconSection().load(fields)
    return set(caught.value.messages)


def test_each_type_is_read():
    assert IconSection().load({}) == Icon()
    assert IconSection().load({"type": "url", "value": "https://host/a.png"}) == Icon("url", "https://host/a.png")
    picture = {"type": "base64", "value": "aGk=\n", "mime_type": "image/svg+xml"}
    assert IconSection().load(picture) == Icon("base64", "aGk=\n", "image/svg+xml")


def test_what_a_browser_could_run_is_refused():
    assert refusal(type="url", value="javascript:alert(1)") == {"value"}
    assert refusal(type="base64", value="aGk=", mime_type="text/html") == {"mime_type"}


def test_what_a_type_needs_is_asked_for():
    assert refusal(type="url") == {"value"}
    assert refusal(type="base64") == {"value", "mime_type"}
    assert refusal(type="base64", value="?", mime_type="image/png") == {"value"}
    assert refusal(value="x") == {"value"}
