"""What guests share: conflicts, and the one folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from lodgers import fake

from runtimes.host.codefolder import site_packages
from runtimes.host.failure import Refused
from runtimes.host.shared import Distribution, SharedFolder, conflict, dependencies

A, B = Distribution("1.0", "a"), Distribution("2.0", "b")


def test_what_is_wanted_in_two_versions_or_two_builds_is_a_conflict() -> None:
    assert conflict("x", {"lib": A}, {"y": {"lib": A}, "z": {"other": B}}) == ("", "")
    assert conflict("x", {"lib": B}, {"z": {"lib": B}, "y": {"lib": A}}) == (
        "x needs lib 2.0, and its neighbour y runs with 1.0",
        "y",
    )
    rebuilt = Distribution("1.0", "c")
    why, other = conflict("x", {"lib": rebuilt}, {"y": {"lib": A}})
    assert (why, other) == ("x and its neighbour y need different builds of lib 1.0", "y")


def release(folder: Path, name: str, **distributions: str) -> Path:
    site = folder / name / "venv" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    for one, version in distributions.items():
        fake(one, version, f"VERSION = {version!r}\n", site)
    return folder / name


def test_the_app_itself_is_none_of_its_dependencies(tmp_path: Path) -> None:
    found = dependencies(release(tmp_path, "r", shop="1.0", tool="2.0"), "Shop")
    assert {name: one.version for name, one in found.items()} == {"tool": "2.0"}
    assert dependencies(tmp_path / "nothing", "shop") == {}


def test_the_folder_has_one_version_of_each_and_exchanges_what_nobody_needs(tmp_path: Path) -> None:
    folder = SharedFolder(tmp_path / "shared")
    old, new = release(tmp_path, "old", tool="1.0"), release(tmp_path, "new", tool="2.0")
    folder.join("one", "one", dependencies(old, ""))
    assert (folder.path / "tool.py").read_text() == "VERSION = '1.0'\n"
    with pytest.raises(Refused, match=r"two needs tool 2\.0, and its neighbour one runs with 1\.0") as caught:
        folder.join("two", "two", dependencies(new, ""))
    assert caught.value.reason == "DependencyConflict"
    assert (folder.path / "tool.py").read_text() == "VERSION = '1.0'\n"
    folder.leave("one")
    folder.join("two", "two", dependencies(new, ""))
    assert (folder.path / "tool.py").read_text() == "VERSION = '2.0'\n"
    assert [path.name for path in folder.path.glob("*.dist-info")] == ["tool-2.0.dist-info"]
    site = site_packages(old)
    assert site is not None
    assert (site / "tool.py").read_text() == "VERSION = '1.0'\n"
