"""What an error says, to people and to machines."""

from __future__ import annotations

import pytest

from celeriac.errors import CeleriacError, MisuseError, SettingsError


def test_what_happened_comes_first_and_what_to_do_on_a_line_of_its_own() -> None:
    assert str(CeleriacError("the disk is full", hint="make room")) == "the disk is full\n  make room"
    assert str(CeleriacError("the disk is full")) == "the disk is full"
    assert CeleriacError("the disk is full", hint="make room").args == ("the disk is full",)


def test_a_reason_that_is_given_is_that_of_this_error_alone() -> None:
    assert CeleriacError("x", reason="DiskFull").reason == "DiskFull"
    assert CeleriacError("x").reason == "Error"
    assert SettingsError("x", reason="").reason == ""


@pytest.mark.parametrize(("kind", "reason"), [(MisuseError, "Misuse"), (SettingsError, "BadSetting")])
def test_each_kind_has_its_reason_and_is_caught_as_what_it_is(kind: type[MisuseError], reason: str) -> None:
    with pytest.raises(MisuseError, match="unknown") as caught:
        raise kind("unknown")
    assert (caught.value.reason, caught.value.hint) == (reason, "")
    assert isinstance(caught.value, CeleriacError)
