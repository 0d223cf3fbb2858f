"""Pictures made from names."""

import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from specs.identicon import identicon_svg

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,30}", fullmatch=True) | st.text(max_size=20)


def cells(svg):
    return {(int(x), int(y)) for x, y in re.findall(r"M(\d) (\d)h1", svg)}


@settings(max_examples=150, deadline=None)
@given(name=NAMES)
def test_a_picture_is_well_formed_symmetric_and_never_empty(name):
    svg = identicon_svg(name)
    ElementTree.fromstring(svg)
    found = cells(svg)
    assert found
    assert found == {(4 - x, y) for x, y in found}
    assert identicon_svg(name) == svg


def test_a_picture_holds_nothing_of_the_name():
    assert "script" not in identicon_svg("<script>")


def test_names_that_differ_look_different():
    assert len({identicon_svg(f"app-{number}") for number in range(500)}) == 500
