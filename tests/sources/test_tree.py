"""A folder of source code: a project, or plain files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sources import BadSource, BuildFailed, UnsafeArchive, build, read_manifest
from sources.tree import content_of, find_project, pretended_version
from specs.model import AppSpec, Source


def _write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


PROJECT = '[project]\nname = "x"\nversion = "1"\n'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pyproject.toml": PROJECT}, "."),
        ({"setup.py": ""}, "."),
        ({"x-1.0/pyproject.toml": PROJECT}, "x-1.0"),
        ({"README": "", "app/setup.py": "", "docs/a.md": ""}, "app"),
        ({"a/setup.py": "", "b/setup.py": ""}, None),
        ({"pyproject.toml": "[tool.ruff]\nline-length = 9\n", "app.py": ""}, None),
        ({"app.py": "", "vendored/setup.py": ""}, None),
        ({"requirements.txt": "", "vendored/setup.py": ""}, None),
        ({"a/b/setup.py": ""}, None),
    ],
)
def test_a_project_is_found_at_the_top_or_one_level_below(
    tmp_path: Path, files: dict[str, str], expected: str | None
) -> None:
    found = find_project(_write(tmp_path, files))
    assert found == (None if expected is None else tmp_path / expected)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"app-1.0/app.py": ""}, "app-1.0"),
        ({"app/__init__.py": ""}, "."),
        ({"app/__main__.py": ""}, "."),
        ({"app/x.py": "", "b.py": ""}, "."),
    ],
)
def test_a_wrapping_folder_is_left_out_unless_it_is_a_package(
    tmp_path: Path, files: dict[str, str], expected: str
) -> None:
    assert content_of(_write(tmp_path, files)) == tmp_path / expected


@pytest.mark.parametrize(
    ("files", "pretended"),
    [
        ({"pyproject.toml": '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\n'}, True),
        ({"pyproject.toml": '[build-system]\nrequires = ["setuptools_scm>=8"]\n'}, True),
        ({"setup.py": "setup(use_scm_version=True)"}, True),
        ({"pyproject.toml": PROJECT}, False),
        ({"pyproject.toml": "[tool.setuptools_scm]\n", "PKG-INFO": "Version: 1"}, False),
    ],
)
def test_the_version_is_told_to_backends_that_would_ask_git(
    tmp_path: Path, files: dict[str, str], pretended: bool
) -> None:
    found = pretended_version(_write(tmp_path, files), AppSpec("shop", "1.2"))
    assert (found.get("SETUPTOOLS_SCM_PRETEND_VERSION") == "1.2") is pretended
    assert bool(found) is pretended


def _spec(bench: Any, files: dict[str, str], name: str = "shop", version: str = "1.0") -> AppSpec:
    path = bench.tar(files)
    source = Source(type="release", url=path.as_uri(), sha256=bench.sha256(path))
    return AppSpec(name, version, source=source)


def test_plain_files_become_src_and_can_be_imported_with_what_they_require(bench: Any, home: Path) -> None:
    bench.wheel("helper", "1.2")
    files = {"shop-1.0/shop.py": "import helper; print(helper.__name__)", "shop-1.0/requirements.txt": "helper==1.2\n"}
    release = build(_spec(bench, files), home)
    assert sorted(p.name for p in release.iterdir()) == ["files.json", "release.json", "src", "venv"]
    done = subprocess.run(
        [release / "venv/bin/python", "-m", "shop"], cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout == "helper\n"
    manifest = read_manifest(release)
    assert manifest is not None
    assert (manifest.distribution, manifest.entry_points, manifest.packages) == ("", (), ("helper==1.2",))


def test_requirements_that_cannot_be_had_fail_the_build(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    with pytest.raises(BuildFailed, match="nowhere"):
        build(_spec(bench, {"shop.py": "", "requirements.txt": "nowhere==1\n"}), home)
    nothing_left("shop")


def test_a_build_that_fails_shows_the_backends_last_words(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    files = bench.project() | {"backend.py": "def build_wheel(*a, **k):\n    raise RuntimeError('no such luck')\n"}
    with pytest.raises(BuildFailed) as caught:
        build(_spec(bench, files), home)
    assert any("no such luck" in line for line in caught.value.output)
    assert not caught.value.retryable
    nothing_left("shop")


def test_a_pyproject_that_cannot_be_read_is_said(bench: Any, home: Path, nothing_left: Callable[[str], None]) -> None:
    with pytest.raises(BuildFailed, match=r"pyproject\.toml cannot be read"):
        build(_spec(bench, {"pyproject.toml": "= ="}), home)
    nothing_left("shop")


def test_an_empty_source_is_said(bench: Any, home: Path, nothing_left: Callable[[str], None]) -> None:
    with pytest.raises(BadSource, match="empty"):
        build(_spec(bench, {}), home)
    nothing_left("shop")


def test_links_of_a_subdirectory_may_not_lead_out_of_it_once_it_is_src(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    repo = bench.repository({"top.txt": "", "a/b/app.py": ""})
    (repo / "a/b/link").symlink_to("../../top.txt")
    bench.commit(repo, {}, tag="v1.0")
    source = Source(type="git", url=str(repo), subdirectory="a/b")
    with pytest.raises(UnsafeArchive):
        build(AppSpec("shop", "1.0", source=source), home)
    nothing_left("shop")
