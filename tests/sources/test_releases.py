"""Releases on disk are listed, pruned and removed; nothing else is ever touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from celeriac.errors import MisuseError
from sources.manifest import Manifest, write_manifest
from sources.releases import (
    discard,
    prune_releases,
    release_dir,
    releases,
    releases_dir,
    remove_leftovers,
    remove_release,
)


def _release(home: Path, number: int, *, venv: bool = True, name: str = "") -> Path:
    folder = releases_dir(home, "shop") / (name or f"1.{number}-aaaa000{number}")
    (folder / "venv").mkdir(parents=True)
    if venv:
        (folder / "venv" / "pyvenv.cfg").touch()
    built_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    write_manifest(
        folder,
        Manifest(
            app="shop", version=f"1.{number}", release=folder.name, source="", built_at=built_at, python="", uv=""
        ),
    )
    return folder


def _ids(home: Path) -> list[str]:
    return [release.id for release in releases(home, "shop")]


def test_complete_releases_are_listed_newest_first(home: Path) -> None:
    for number in (1, 3, 2):
        _release(home, number)
    assert _ids(home) == ["1.3-aaaa0003", "1.2-aaaa0002", "1.1-aaaa0001"]


def test_what_is_half_built_or_no_release_is_not_listed(home: Path) -> None:
    kept = _release(home, 1)
    _release(home, 2, venv=False)
    _release(home, 3, name=".building-1.3-aaaa0003-1-2")
    (kept.parent / "notes.txt").touch()
    (kept.parent / "link").symlink_to(kept)
    assert _ids(home) == ["1.1-aaaa0001"]


def test_an_app_without_releases_has_none(home: Path) -> None:
    assert releases(home, "shop") == []


def test_pruning_keeps_the_newest_and_the_protected(home: Path) -> None:
    for number in (1, 2, 3, 4):
        _release(home, number)
    assert prune_releases(home, "shop", 2, {"1.1-aaaa0001"}) == ["1.2-aaaa0002"]
    assert _ids(home) == ["1.4-aaaa0004", "1.3-aaaa0003", "1.1-aaaa0001"]
    assert prune_releases(home, "shop", 2, {"1.1-aaaa0001"}) == []


def test_keep_below_zero_is_misuse(home: Path) -> None:
    with pytest.raises(MisuseError):
        prune_releases(home, "shop", -1)


def test_removing_is_repeatable_and_leaves_nothing(home: Path) -> None:
    folder = _release(home, 1)
    remove_release(home, "shop", folder.name)
    remove_release(home, "shop", folder.name)
    assert list(folder.parent.iterdir()) == []


def test_leftovers_go_and_releases_stay(home: Path) -> None:
    folder = _release(home, 1)
    _release(home, 2, name=".building-x")
    _release(home, 3, name=".removing-x")
    remove_leftovers(home, "shop")
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("app", ["", "..", "a/b", "A", "-a", "a" * 64, "a\n"])
def test_no_path_is_made_of_a_name_that_is_none(home: Path, app: str) -> None:
    with pytest.raises(MisuseError):
        release_dir(home, app, "1.0-abcdef12")


@pytest.mark.parametrize("release", ["", "..", ".", ".building-x", "a/b", "-x", "a\0", "1.0\n"])
def test_no_path_is_made_of_an_id_that_is_none(home: Path, release: str) -> None:
    with pytest.raises(MisuseError):
        release_dir(home, "shop", release)
    with pytest.raises(MisuseError):
        remove_release(home, "shop", release)


def test_discarding_deletes_links_and_not_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "doomed").mkdir()
    (tmp_path / "doomed" / "link").symlink_to(tmp_path / "kept")
    discard(tmp_path / "doomed")
    assert [p.name for p in tmp_path.rglob("*")] == ["kept", "file"]


def test_discarding_opens_folders_that_a_build_closed(tmp_path: Path) -> None:
    inner = tmp_path / "doomed" / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(0o500)
    inner.parent.chmod(0)
    discard(tmp_path / "doomed")
    assert list(tmp_path.iterdir()) == []


def test_discarding_what_is_absent_is_fine(tmp_path: Path) -> None:
    discard(tmp_path / "absent")
