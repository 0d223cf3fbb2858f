"""What is installed is seen without running it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sources.inventory import command, console_scripts, direct_distribution, packages, runnable_module, site_packages


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    site = tmp_path / "venv/lib/python3.11/site-packages"
    for name in ("my_shop-1.0", "helper-2.0+local"):
        (site / f"{name}.dist-info").mkdir(parents=True)
        (site / f"{name}.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n")
    (site / "my_shop-1.0.dist-info/entry_points.txt").write_text(
        "[console_scripts]\nb = x:y\na = x:y\n[gui]\nc = x:y\n"
    )
    (tmp_path / "venv/bin").mkdir()
    (tmp_path / "venv/bin/shop").touch(mode=0o755)
    (tmp_path / "venv/bin/notes").touch(mode=0o644)
    return tmp_path / "venv"


def test_packages_go_by_their_canonical_names(venv: Path) -> None:
    assert packages(venv) == {"helper": "2.0+local", "my-shop": "1.0"}


def test_console_scripts_are_those_of_one_distribution(venv: Path) -> None:
    assert console_scripts(venv, "My.Shop") == ("a", "b")
    assert console_scripts(venv, "helper") == ()
    assert console_scripts(venv, "absent") == ()


def test_the_directly_installed_distribution_is_known_by_its_marks(venv: Path) -> None:
    assert direct_distribution(venv) == ""
    info = site_packages(venv) / "my_shop-1.0.dist-info"
    (info / "direct_url.json").touch()
    assert direct_distribution(venv) == ""
    (info / "REQUESTED").touch()
    assert direct_distribution(venv) == "my-shop"


@pytest.mark.parametrize(
    ("name", "found"), [("shop", True), ("notes", False), ("absent", False), ("../bin/shop", False)]
)
def test_commands_are_executable_files_in_bin(venv: Path, name: str, found: bool) -> None:
    assert (command(venv, name) is not None) is found


def test_modules_that_can_be_run_are_files_and_packages_with_main(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").touch()
    (tmp_path / "module.py").touch()
    assert runnable_module([tmp_path], "module")
    assert not runnable_module([tmp_path], "package")
    (tmp_path / "package/__main__.py").touch()
    assert runnable_module([tmp_path / "absent", tmp_path], "package")
    assert not runnable_module([tmp_path], "../module")


def test_a_folder_that_is_no_environment_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        site_packages(tmp_path)
