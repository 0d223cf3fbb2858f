"""No credential is ever shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.masking import mask, secrets_of, shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://bob:pw@example.org/simple", "https://***@example.org/simple"),
        ("https://token@example.org/a?sig=abc#x", "https://***@example.org/a"),
        ("https://example.org/a", "https://example.org/a"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
    ],
)
def test_a_url_is_shown_without_user_password_and_query(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_a_url_that_cannot_be_read_is_not_shown() -> None:
    assert "pw" not in shown_url("https://bob:pw@[bad")


def test_secrets_are_masked_wherever_they_stand() -> None:
    url = "https://bob:p%40ss@example.org/f.whl?X-Signature=0123456789"
    text = mask("user bob:p%40ss, decoded p@ss, at https://bob:p%40ss@example.org, signed 0123456789", secrets_of(url))
    assert text == "user ***, decoded ***, at https://***@example.org, signed ***"


def test_a_token_alone_is_a_secret_but_the_ssh_user_is_not() -> None:
    assert secrets_of("https://ghp_0123456789@example.org/a") == ("ghp_0123456789",)
    assert secrets_of("ssh://deployment@example.org/a") == ()


def test_a_url_that_cannot_be_read_is_a_secret_as_a_whole() -> None:
    assert secrets_of("https://[bob:pw@") == ("https://[bob:pw@",)


_WORD = st.text("abcXYZ019-_.~", min_size=1, max_size=12)


@given(_WORD, _WORD, st.text("xyz :'\n", max_size=10))
def test_no_password_of_a_url_survives_in_any_text(user: str, password: str, around: str) -> None:
    url = f"https://{user}:Q{password}Q@example.org/simple"
    assert f"Q{password}Q" not in mask(f"{around}{url}{around} and Q{password}Q", secrets_of(url))
