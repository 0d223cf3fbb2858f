"""What the code of a release looked like is compared with what it looks like now."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from celeriac import fingerprint


def make(release: Path) -> Path:
    packages = release / "venv" / "lib" / "python3.11" / "site-packages"
    (packages / "shop").mkdir(parents=True)
    (release / "venv" / "bin").mkdir()
    (release / "src").mkdir()
    (packages / "shop" / "app.py").write_text("one = 1\n")
    (packages / "shop" / "data.txt").write_text("data\n")
    (release / "venv" / "bin" / "shop").write_text("#!python\n")
    (release / "venv" / "bin" / "python").symlink_to("/nowhere/python")
    (release / "src" / "main.py").write_text("")
    fingerprint.write(release)
    return packages


def test_what_was_built_is_as_it_was(tmp_path: Path) -> None:
    make(tmp_path)
    assert set(fingerprint.read(tmp_path)) == {
        "venv/lib/python3.11/site-packages/shop/app.py", "venv/bin/shop", "venv/bin/python", "src/main.py",
    }  # fmt: skip
    assert fingerprint.changed(tmp_path) == []
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    assert fingerprint.changed(moved) == []
    shutil.copytree(moved, tmp_path, symlinks=True, copy_function=os.link)
    assert fingerprint.changed(tmp_path) == []


def test_what_python_and_the_app_add_does_not_count(tmp_path: Path) -> None:
    packages = make(tmp_path)
    (packages / "shop" / "__pycache__").mkdir()
    (packages / "shop" / "__pycache__" / "app.cpython-311.pyc").write_text("x")
    (packages / "shop" / "data.txt").write_text("other data\n")
    (packages / "shop" / "new.py").write_text("")
    assert fingerprint.changed(tmp_path) == []


def test_what_is_changed_deleted_or_led_elsewhere_is_named(tmp_path: Path) -> None:
    packages = make(tmp_path)
    (packages / "shop" / "app.py").write_text("two = 2\n")
    assert fingerprint.changed(tmp_path) == ["venv/lib/python3.11/site-packages/shop/app.py"]
    shutil.rmtree(packages / "shop")
    (tmp_path / "venv" / "bin" / "python").unlink()
    assert len(fingerprint.changed(tmp_path)) == 2
    assert len(fingerprint.changed(tmp_path, most=1)) == 1


def test_without_a_note_nothing_is_told(tmp_path: Path) -> None:
    assert fingerprint.changed(tmp_path) == []
    assert fingerprint.stamp(tmp_path) == ""
    (tmp_path / fingerprint.NAME).write_text("{")
    assert fingerprint.read(tmp_path) == {}


def test_two_builds_at_one_place_are_told_apart(tmp_path: Path) -> None:
    make(tmp_path)
    before = fingerprint.stamp(tmp_path)
    (tmp_path / fingerprint.NAME).unlink()
    fingerprint.write(tmp_path)
    assert fingerprint.stamp(tmp_path) != before
