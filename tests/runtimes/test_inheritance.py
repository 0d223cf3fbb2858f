"""Files go from one app to another, once, and back."""

from __future__ import annotations

import json
from pathlib import Path

from runtimes.inheritance import (
    Heir,
    drop_heir,
    give_back_data,
    in_the_way,
    link_releases,
    move_data,
    put_heir,
    read_heir,
)


def folders(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    return old, new


def test_a_note_of_the_heir_is_kept_until_it_is_dropped(tmp_path: Path) -> None:
    old, _ = folders(tmp_path)
    assert read_heir(old) is None
    put_heir(old, Heir("new", "running", True))
    assert read_heir(old) == Heir("new", "running", True)
    drop_heir(old)
    drop_heir(old)
    assert read_heir(old) is None


def test_releases_are_shared_under_both_names(tmp_path: Path) -> None:
    old, new = folders(tmp_path)
    release = old / "releases" / "1.0-ab"
    (release / "venv" / "bin").mkdir(parents=True)
    (release / "venv" / "bin" / "python").symlink_to("/usr/bin/env")
    (release / "venv" / "big").write_text("x" * 100)
    (release / "release.json").write_text(json.dumps({"app": "old", "version": "1.0"}))
    (new / "releases" / ".linking-1.0-ab" / "venv").mkdir(parents=True)  # of a try that was killed
    for _ in range(2):
        link_releases(old, new, ["1.0-ab", "2.0-cd"])
    shared = new / "releases" / "1.0-ab"
    assert [path.name for path in shared.parent.iterdir()] == ["1.0-ab"]
    assert (shared / "venv" / "big").stat().st_ino == (release / "venv" / "big").stat().st_ino
    assert (shared / "venv" / "bin" / "python").readlink() == Path("/usr/bin/env")
    assert json.loads((shared / "release.json").read_text()) == {"app": "new", "version": "1.0"}
    assert json.loads((release / "release.json").read_text())["app"] == "old"


def test_data_go_over_once_and_come_back(tmp_path: Path) -> None:
    old, new = folders(tmp_path)
    for folder in (old, new):
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "name").write_text(folder.name)
    assert in_the_way(old, new) is None
    for _ in range(2):
        move_data(old, new)
        assert (new / "data" / "name").read_text() == "old"
        assert (new / "data.before-old" / "name").read_text() == "new"
        assert not (old / "data").exists()
    for _ in range(2):
        give_back_data(old, new, Heir("new", "running", True))
        assert (old / "data" / "name").read_text() == "old"
        assert (new / "data" / "name").read_text() == "new"
    (new / "data.before-old").mkdir()
    assert in_the_way(old, new) == new / "data.before-old"


def test_an_app_without_data_takes_none_away(tmp_path: Path) -> None:
    old, new = folders(tmp_path)
    (new / "data").mkdir(parents=True)
    (new / "data" / "own").touch()
    move_data(old, new)
    give_back_data(old, new, Heir("new", "running", False))
    assert (new / "data" / "own").exists()
    assert not (old / "data").exists()


def test_an_empty_folder_and_a_link_are_data_that_can_be_moved(tmp_path: Path) -> None:
    old, new = folders(tmp_path)
    (tmp_path / "disk").mkdir()
    (old / "data").symlink_to(tmp_path / "disk")
    (new / "data").mkdir(parents=True)
    move_data(old, new)
    assert (new / "data").readlink() == tmp_path / "disk"
    assert not (new / "data.before-old").exists()
