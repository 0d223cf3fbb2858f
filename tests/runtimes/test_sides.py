"""What the two places of an app are called."""

from __future__ import annotations

from runtimes.connections import count
from runtimes.files import is_app_name
from runtimes.sides import SIDES, group_name, log_name, other, side_of
from runtimes.supervisor_conf import with_group


def test_each_side_has_a_group_and_no_app_can_be_called_like_the_second() -> None:
    assert [group_name("web", side) for side in SIDES] == ["web", "web@green"]
    assert [side_of(group_name("web", side)) for side in SIDES] == list(SIDES)
    assert not is_app_name(group_name("web", "green"))
    assert not is_app_name("@front")
    assert (other("blue"), other("green")) == ("green", "blue")
    assert log_name("web", "green", "main") == "web@green.main.log"


def test_a_section_is_put_beside_the_other_one_or_in_its_own_place() -> None:
    blue = "[group:web]\nprograms=web.main\n\n[program:web.main]\ncommand=a\n"
    green = blue.replace("web", "web@green")
    both = with_group(with_group("", "web", blue), "web@green", green)
    assert both.count("[group:") == 2
    assert with_group(both, "web", blue) == both
    changed = with_group(both, "web", blue.replace("command=a", "command=b"))
    assert ("command=a" in changed, changed.count("command=b"), changed.count("[group:")) == (True, 1, 2)


def test_only_established_connections_to_that_very_port_count() -> None:
    lines = [
        "   0: 0100007F:4E20 0100007F:D2F0 01 00000000:00000000",
        "   1: 0100007F:4E20 0100007F:D2F1 06 00000000:00000000",
        "   2: 0100007F:D2F0 0100007F:4E20 01 00000000:00000000",
        "   3: 00000000:4E20 00000000:0000 0A 00000000:00000000",
    ]
    assert count(lines, 20000) == 1
