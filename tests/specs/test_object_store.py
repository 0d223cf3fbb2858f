"""One bare repository on disk: what is there, and whether it is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from specs.git_command import GitFailedError
from specs.object_store import ObjectStore


@pytest.fixture
def store(git_user: None, tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path / "store.git", 30)
    store.init("sha1")
    return store


def test_a_new_store_is_bare_and_has_no_hooks(store: ObjectStore, tmp_path: Path) -> None:
    assert store.git("rev-parse", "--is-bare-repository").strip() == b"true"
    assert not (tmp_path / "store.git/hooks").exists()
    assert store.commit_id("HEAD") == ""
    assert store.whole("refs/heads/main") == ""


def test_fetch_brings_what_was_named(store: ObjectStore, upstream) -> None:
    revision = upstream.commit({"a": "1"})
    assert not store.has(revision)
    store.fetch(str(upstream.folder), "+refs/heads/main:refs/heads/main")
    assert store.has(revision)
    assert store.whole("refs/heads/main") == revision
    assert store.commit_id(revision[:7]) == revision
    with pytest.raises(GitFailedError, match="couldn't find remote ref"):
        store.fetch(str(upstream.folder), "+refs/heads/nosuch:refs/heads/nosuch")


def test_names_that_look_like_options_are_no_commits(store: ObjectStore, upstream) -> None:
    upstream.commit({"a": "1"})
    store.fetch(str(upstream.folder), "+refs/heads/main:refs/heads/main")
    assert store.commit_id("--all") == ""
    assert store.commit_id("main:a") == ""


def test_a_folder_that_does_not_exist_holds_nothing(git_user: None, tmp_path: Path) -> None:
    nowhere = ObjectStore(tmp_path / "nowhere", 30)
    assert not nowhere.has("a" * 40)
    assert nowhere.commit_id("HEAD") == ""
    assert nowhere.whole("refs/heads/main") == ""
