"""What the remote has, asked without a mirror."""

from __future__ import annotations

from pathlib import Path

import pytest

from specs.remote import Remote, describe_remote
from specs.repository_errors import BranchMissing, RemoteUnreachable, RepositoryError


def test_branches_and_tags_are_told_by_full_name(upstream) -> None:
    revision = upstream.commit({"a": "1"})
    upstream.git("tag", "v1")
    remote = Remote(str(upstream.folder), "main", 30)
    assert remote.refs("refs/heads/*", "refs/tags/v1") == {"refs/heads/main": revision, "refs/tags/v1": revision}
    assert remote.revision() == revision


def test_a_missing_branch_names_some_that_exist(upstream) -> None:
    upstream.commit({"a": "1"})
    with pytest.raises(BranchMissing) as caught:
        Remote(str(upstream.folder), "production", 30).revision()
    assert caught.value.hint.endswith("main")


def test_a_path_that_is_no_repository_is_told_with_a_hint(git_user: None, tmp_path: Path) -> None:
    with pytest.raises(RemoteUnreachable, match="does not appear to be a git repository") as caught:
        Remote(str(tmp_path), "main", 30).revision()
    assert "CELERIAC_REPO_URL" in caught.value.hint


def test_the_users_url_rewriting_is_in_force(upstream) -> None:
    revision = upstream.commit({"a": "1"})
    upstream.git("config", "--global", f"url.{upstream.folder.parent}/.insteadOf", "https://example.org/")
    assert Remote("https://example.org/upstream", "main", 30).revision() == revision


def test_a_rewriting_to_a_remote_helper_runs_nothing(upstream, tmp_path: Path) -> None:
    upstream.git("config", "--global", f"url.ext::touch {tmp_path}/ran .insteadOf", "https://example.org/")
    with pytest.raises(RemoteUnreachable, match="not allowed"):
        Remote("https://example.org/x", "main", 30).revision()
    assert not (tmp_path / "ran").exists()


def test_a_refused_url_is_shown_without_its_password() -> None:
    with pytest.raises(RepositoryError) as caught:
        Remote("gopher://ada:hunter22@example.org/x", "main", 30)
    assert "hunter22" not in str(caught.value)
    assert describe_remote("https://ada:hunter22@example.org/x") == "https://***@example.org/x"
