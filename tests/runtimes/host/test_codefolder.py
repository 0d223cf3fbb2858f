"""The link that code is imported through, and which files behind it are the app's own."""

from __future__ import annotations

import os
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from runtimes.host.codefolder import CodeFolder, canonical, file_hash, metadata, own_files, site_packages


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release with a distribution that installed a package, a script, metadata and compiled files."""
    made = tmp_path / "releases" / "1"
    site = made / "venv" / "lib" / "python3.11" / "site-packages"
    info = site / "My_Shop-1.0.dist-info"
    info.mkdir(parents=True)
    rows = [
        "shop/__init__.py,sha256=x,1", '"shop/a, b.txt",,', "shop/__pycache__/__init__.cpython-311.pyc,,",
        "../../../bin/shop,,", "My_Shop-1.0.dist-info/RECORD,,", "", "/etc/absolute,,",
    ]  # fmt: skip
    (info / "RECORD").write_text("\n".join(rows))
    (made / "src" / "extra" / "__pycache__").mkdir(parents=True)
    (made / "src" / "extra" / "mod.py").touch()
    (made / "src" / "extra" / "__pycache__" / "mod.pyc").touch()
    return made


def module(origin: str | None) -> ModuleType:
    made = ModuleType("shop")
    made.__spec__ = ModuleSpec("shop", None, origin=origin)
    return made


def test_own_files_are_those_of_src_and_what_the_distribution_installed(release: Path) -> None:
    site = "venv/lib/python3.11/site-packages"
    both = {"src/extra/mod.py", f"{site}/shop/__init__.py", f"{site}/shop/a, b.txt"}
    assert own_files(release, "my.shop") == both
    assert own_files(release, "") == own_files(release, "another") == {"src/extra/mod.py"}


def test_a_folder_without_anything_has_no_own_files(tmp_path: Path) -> None:
    assert own_files(tmp_path, "shop") == frozenset()
    assert site_packages(tmp_path) is None
    assert metadata(tmp_path, "shop") is None


def test_distributions_are_found_by_any_spelling_of_their_name(release: Path) -> None:
    assert canonical("My__Shop.-x") == "my-shop-x"
    for name in ("my-shop", "MY.SHOP", "my_shop"):
        found = metadata(release, name)
        assert found is not None
        assert found.name == "My_Shop-1.0.dist-info"
    assert metadata(release, "my") is None


def test_the_link_leads_to_one_release_or_the_other_at_every_moment(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "version").write_text(name)
    code = CodeFolder(tmp_path / "run" / "main.code", tmp_path / "1")
    code.point(tmp_path / "1")
    seen: set[str] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add((code.path / "version").read_text())

    reader = threading.Thread(target=read)
    reader.start()
    while len(seen) < 2:
        for name in ("2", "1", "2"):
            code.point(tmp_path / name)
    over.set()
    reader.join(20)
    assert seen == {"1", "2"}
    assert code.release == tmp_path / "2"
    assert os.listdir(code.path.parent) == ["main.code"]  # noqa: PTH208


def test_what_a_killed_process_left_is_no_hindrance(tmp_path: Path) -> None:
    code = CodeFolder(tmp_path / "main.code", tmp_path / "1")
    (tmp_path / f".main.code.{os.getpid()}").symlink_to("nowhere")
    code.point(tmp_path)
    assert code.path.resolve() == tmp_path


def test_the_import_path_goes_through_the_link_and_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = tmp_path / "1", tmp_path / "10" / "src"
    monkeypatch.setattr(sys, "path", [str(first / "src"), str(first), str(other), "/usr/lib", ""])
    for name in ("executable", "prefix", "exec_prefix"):
        monkeypatch.setattr(sys, name, str(first / "venv" / name))
    code = CodeFolder(tmp_path / "main.code", first)
    code.adopt()
    assert sys.path == [str(code.path / "src"), str(first), str(other), "/usr/lib", ""]
    assert sys.prefix == str(code.path / "venv" / "prefix")


def test_a_module_is_told_by_its_file_below_the_release(tmp_path: Path) -> None:
    code = CodeFolder(tmp_path / "main.code", tmp_path / "1")
    assert code.relative(module(f"{tmp_path}/main.code/src/shop/web.py")) == "src/shop/web.py"
    assert code.relative(module(f"{tmp_path}/1/src/shop/web.py")) == "src/shop/web.py"
    elsewhere = [f"{tmp_path}/10/src/web.py", f"{tmp_path}/1/fast.so", "built-in", None, "/usr/lib/json.py"]
    assert {code.relative(module(origin)) for origin in elsewhere} == {""}
    assert code.relative(ModuleType("bare")) == ""


def test_the_hash_of_a_file_is_empty_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\x00")
    (tmp_path / "b").write_bytes(b"\xff\x00")
    assert file_hash(tmp_path / "a") == file_hash(tmp_path / "b") != ""
    assert file_hash(tmp_path / "nowhere") == file_hash(tmp_path) == ""
