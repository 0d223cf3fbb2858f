"""What git is given, and what may come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from specs.git_command import (
    REMOTE,
    GitFailedError,
    GitMissingError,
    GitTimeoutError,
    command_options,
    environment,
    mask,
    run_git,
    summary,
    usable_url,
)

DIR = Path("/home/mirror/x.git")


def test_git_may_ask_nothing_and_run_nothing() -> None:
    values = environment({}, DIR)
    assert values["GIT_TERMINAL_PROMPT"] == "0"
    assert (values["GIT_ASKPASS"], values["SSH_ASKPASS"], values["SSH_ASKPASS_REQUIRE"]) == ("", "", "never")
    assert values["GIT_ALLOW_PROTOCOL"] == "https:http:ssh:git:file"
    assert values["GIT_DIR"] == str(DIR)
    assert values["LC_ALL"] == "C"
    options = command_options()
    assert "core.hooksPath=/dev/null" in options
    assert "protocol.ext.allow=never" in options
    assert set(options[::2]) == {"-c"}


def test_the_users_configuration_and_ssh_command_are_left_alone() -> None:
    values = environment({"GIT_CONFIG_GLOBAL": "/me/gitconfig", "GIT_SSH_COMMAND": "ssh -i key"}, DIR)
    assert not {"GIT_CONFIG_GLOBAL", "GIT_SSH_COMMAND", "HOME"} & values.keys()


@pytest.mark.parametrize(
    ("own", "allowed"),
    [("https:ssh", "https:ssh"), ("ssh:ext:rsync", "ssh"), ("ext", "none"), ("", "https:http:ssh:git:file")],
)
def test_the_operator_may_allow_fewer_protocols_but_not_more(own: str, allowed: str) -> None:
    assert environment({"GIT_ALLOW_PROTOCOL": own}, DIR)["GIT_ALLOW_PROTOCOL"] == allowed


def test_system_configuration_is_read_only_where_the_operator_says_so() -> None:
    assert environment({}, DIR)["GIT_CONFIG_NOSYSTEM"] == "1"
    assert environment({"GIT_CONFIG_NOSYSTEM": "0"}, DIR)["GIT_CONFIG_NOSYSTEM"] == "0"


def test_the_url_joins_configuration_that_is_in_the_environment_already() -> None:
    inherited = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.proxy", "GIT_CONFIG_VALUE_0": "p"}
    values = environment(inherited, DIR, "https://example.org/x")
    assert values["GIT_CONFIG_COUNT"] == "2"
    assert values["GIT_CONFIG_KEY_1"] == f"remote.{REMOTE}.url"
    assert values["GIT_CONFIG_VALUE_1"] == "https://example.org/x"
    assert "GIT_CONFIG_KEY_0" not in values


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/x",
        "ssh://git@h:22/x",
        "git@h:team/x.git",
        "h:x",
        "file:///srv/x",
        "git+ssh://h/x",
        "/srv/x",
    ],
)
def test_usual_urls_are_taken_as_they_are(url: str) -> None:
    assert usable_url(url) == url


def test_local_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert usable_url("conf") == str(tmp_path / "conf")
    assert usable_url("./a:b") == str(tmp_path / "a:b")
    assert usable_url("~/conf") == str(tmp_path / "me/conf")


def test_the_home_folder_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="no known user"):
        usable_url("~nobody-of-that-name/conf")


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=30))
@example("~0")
def test_no_url_that_passes_is_an_option_or_a_helper(url: str) -> None:
    try:
        passed = usable_url(url)
    except ValueError:
        return
    assert not passed.startswith("-")
    assert not re.match(r"[A-Za-z0-9+.-]+::", passed)


def test_secrets_are_masked_in_every_shape() -> None:
    url = "https://ada:p%40ssw0rd@example.org/x.git"
    text = f"fatal: {url}: bad 'p@ssw0rd' for https://other:pw@example.org/ and p%40ssw0rd"
    shown = mask(text, url)
    assert "ssw0rd" not in shown
    assert ":pw" not in shown
    assert "https://***@example.org/x.git" in shown


def test_a_token_given_as_the_user_name_is_masked_but_a_plain_name_is_not() -> None:
    assert mask("denied: abcdef0123456789", "https://abcdef0123456789@example.org/x") == "denied: ***"
    assert mask("git: denied", "https://git@example.org/x") == "git: denied"
    assert mask("git@h: denied", "git@h:x") == "git@h: denied"
    assert mask("x", "https://[::1") == "x"


def test_the_summary_leaves_out_what_does_not_tell() -> None:
    text = (
        "hint: x\nwarning: y\nfatal: Could not read from remote repository.\n\n"
        "Please make sure you have the correct access rights\nand the repository exists."
    )
    assert summary(text) == "Could not read from remote repository."
    assert summary("") == "it said nothing"


def test_output_is_bytes_and_input_is_fed(upstream) -> None:
    upstream.commit({"a": "1"})
    git_dir = upstream.folder / ".git"
    out = run_git(["cat-file", "--batch-check"], git_dir=git_dir, timeout=30, stdin=b"HEAD\n")
    assert out.split()[1] == b"commit"


def test_a_failure_tells_what_git_said(upstream) -> None:
    with pytest.raises(GitFailedError, match="git cat-file ended with code 128") as caught:
        run_git(["cat-file", "-p", "nosuch"], git_dir=upstream.folder / ".git", timeout=30)
    assert "nosuch" in caught.value.text


def test_timeout_and_missing_git_are_told(git_user: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "git").chmod(0o755)
    run_git(["--version"], git_dir=tmp_path, timeout=30)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(GitTimeoutError, match=r"git --version was stopped after 0\.1s"):
        run_git(["--version"], git_dir=tmp_path, timeout=0.1)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(GitMissingError, match="cannot be started") as caught:
        run_git(["--version"], git_dir=tmp_path, timeout=30)
    assert "install git" in caught.value.hint
