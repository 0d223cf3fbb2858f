"""What apps may be called."""

from hypothesis import given, settings
from hypothesis import strategies as st

from specs.names import did_you_mean, is_name, marked_name, name_from_folder


def test_names_start_with_a_letter_and_are_short():
    assert all(is_name(name) for name in ("a", "web", "web-2", "a_b", "a" * 63))
    assert not any(is_name(name) for name in ("", "2a", "-a", "Web", "a.b", "../x", "a/b", "a" * 64, "a\n", "é"))


def test_a_valid_folder_is_a_name_as_it_is():
    assert name_from_folder("web-2") == "web-2"


@settings(max_examples=200, deadline=None)
@given(folder=st.text(max_size=100), other=st.text(max_size=100))
def test_every_folder_gives_a_valid_name_of_its_own(folder, other):
    assert is_name(name_from_folder(folder))
    assert is_name(marked_name(folder, other))
    assert name_from_folder(folder) == name_from_folder(folder)
    if folder != other:
        assert name_from_folder(folder) != name_from_folder(other)


def test_the_nearest_word_is_suggested_and_no_far_one():
    assert did_you_mean("prot", ["port", "path"]) == " Did you mean `port`?"
    assert did_you_mean("Depends-On", ["depends_on"]) == " Did you mean `depends_on`?"
    assert did_you_mean("zzz", ["port"]) == ""
