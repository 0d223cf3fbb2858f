"""The mirror's folder: named safely, held by one, replaced as a whole."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.mirror_folder import MirrorFolder, folder_name
from specs.repository_errors import RepositoryError


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=80))
def test_every_url_gives_a_name_that_is_safe_in_a_path(url: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}-[0-9a-f]{8}", folder_name(url))


def test_names_are_readable_and_differ_by_repository() -> None:
    names = [folder_name(url) for url in ("https://h/a/conf.git", "https://h/b/conf.git", "git@h:conf", "/srv/conf/")]
    assert all(name.startswith("conf-") for name in names)
    assert len(set(names)) == 4
    assert folder_name("https://u:one@h/conf") == folder_name("https://u:two@h/conf")


def test_the_lock_is_held_by_one_and_free_afterwards(tmp_path: Path) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with MirrorFolder(tmp_path, "/x", 5).locked():
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    with (
        pytest.raises(RepositoryError, match="held by another process") as caught,
        MirrorFolder(tmp_path, "/x", 0.05).locked(),
    ):
        pass
    assert caught.value.reason == "MirrorBusy"
    with MirrorFolder(tmp_path, "/other", 0.05).locked():
        pass
    release.set()
    holder.join(30)
    with MirrorFolder(tmp_path, "/x", 0.05).locked():
        pass


def test_the_mirrors_are_the_users_own(tmp_path: Path) -> None:
    folder = MirrorFolder(tmp_path / "home", "/x", 5)
    with folder.locked():
        assert folder.path.parent.stat().st_mode & 0o777 == 0o700


def test_replacement_swaps_whole_folders_and_leaves_no_litter(tmp_path: Path) -> None:
    folder = MirrorFolder(tmp_path, "/x", 5)
    with folder.locked():
        assert folder.identity() is None
        identities = []
        for text in ("one", "two"):
            fresh = folder.fresh()
            fresh.mkdir()
            (fresh / "content").write_text(text)
            folder.replace(fresh)
            assert (folder.path / "content").read_text() == text
            identities.append(folder.identity())
        assert identities[0] != identities[1]
    assert sorted(path.suffix for path in folder.path.parent.iterdir()) == [".git", ".lock"]


def test_a_link_in_the_place_of_litter_is_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = MirrorFolder(tmp_path, "/x", 5)
    with folder.locked():
        folder.path.with_suffix(".new").symlink_to(outside)
        assert not folder.fresh().is_symlink()
    assert (outside / "kept").exists()
