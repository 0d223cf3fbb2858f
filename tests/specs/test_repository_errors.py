"""What git says about a remote becomes an error that says what to do."""

from __future__ import annotations

import pytest

from specs.git_command import GitFailedError, GitMissingError, GitTimeoutError
from specs.repository_errors import RemoteUnreachable, RepositoryError, unreachable


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Host key verification failed.\nfatal: Could not read from remote repository.", "known_hosts"),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", "SSH key"),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", "credential helper"),
        ("fatal: Authentication failed for 'https://h/x'", "credential helper"),
        ("fatal: unable to access 'https://h/x': Could not resolve host: h", "stays in force"),
        ("ssh: connect to host h port 22: Connection timed out", "stays in force"),
        ("remote: Repository not found.\nfatal: repository 'https://h/x/' not found", "CELERIAC_REPO_URL"),
        ("fatal: transport 'ext' not allowed", "use an https"),
        ("fatal: something new", "git ls-remote"),
    ],
)
def test_each_cause_has_its_hint(said: str, hint: str) -> None:
    error = unreachable("https://h/x", GitFailedError("git ls-remote ended with code 128", text=said))
    assert isinstance(error, RemoteUnreachable)
    assert error.message.startswith("https://h/x: cannot be reached: ")
    assert hint in error.hint


def test_a_timeout_is_unreachable_too() -> None:
    error = unreachable("https://h/x", GitTimeoutError("git fetch was stopped after 60s"))
    assert isinstance(error, RemoteUnreachable)
    assert "stopped after 60s" in error.message
    assert "stays in force" in error.hint


def test_another_users_repository_has_the_command_that_allows_it() -> None:
    said = "fatal: detected dubious ownership in repository at '/srv/x.git'"
    error = unreachable("/srv/x.git", GitFailedError("failed", text=said))
    assert isinstance(error, RepositoryError)
    assert error.reason == "ForeignOwner"
    assert error.hint.endswith("git config --global --add safe.directory '/srv/x.git'")


def test_a_missing_git_is_not_the_remotes_fault() -> None:
    missing = GitMissingError("git cannot be started")
    assert unreachable("https://h/x", missing) is missing
