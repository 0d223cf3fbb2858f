"""`up --repo` is remembered, and nothing else in the file is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from celeriac.errors import SettingsError
from celeriac.settings import load
from cli.remember import remember, repository


def test_repository_is_in_force_for_later_commands(tmp_path: Path) -> None:
    before = load({"CELERIAC_HOME": str(tmp_path)}, folder=tmp_path)
    now = remember(before, "https://user:token@example.com/apps.git")
    later = load({"CELERIAC_HOME": str(tmp_path)}, folder=tmp_path)
    assert now.repo_url == later.repo_url == "https://user:token@example.com/apps.git"
    assert later.sources["repo_url"] == str(tmp_path / "celeriac.toml")


def test_file_is_for_its_owner_alone_since_a_url_may_hold_a_token(tmp_path: Path) -> None:
    (tmp_path / "celeriac.toml").write_text("")
    remember(load({"CELERIAC_HOME": str(tmp_path)}, folder=tmp_path), "https://example.com/a.git")
    assert (tmp_path / "celeriac.toml").stat().st_mode & 0o777 == 0o600


def test_other_settings_stay_and_the_old_repository_goes(tmp_path: Path) -> None:
    (tmp_path / "celeriac.toml").write_text(
        "branch = 'prod'\nrepo_url = 'https://example.com/old.git'\n\n[labels]\nrole = 'web'\n"
    )
    remember(load({"CELERIAC_HOME": str(tmp_path)}, folder=tmp_path), "https://example.com/new.git")
    later = load({"CELERIAC_HOME": str(tmp_path)}, folder=tmp_path)
    assert (later.repo_url, later.branch, later.labels) == ("https://example.com/new.git", "prod", {"role": "web"})


def test_a_folder_is_kept_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apps.git").mkdir()
    monkeypatch.chdir(tmp_path)
    assert repository("apps.git") == str(tmp_path / "apps.git")


@pytest.mark.parametrize("url", ["ext::sh -c touch% /tmp/x", "--upload-pack=evil", "nowhere"])
def test_what_git_must_not_be_given_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--repo: "):
        repository(url)
