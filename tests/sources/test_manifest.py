"""`release.json` says whether a release is complete, and what it was made of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from celeriac.errors import CeleriacError
from sources.manifest import NAME, Manifest, read_manifest, write_manifest

MANIFEST = Manifest(
    app="shop",
    version="1.0",
    release="1.0-abcdef12",
    source="pypi shop==1.0",
    built_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    python="3.11.7",
    uv="0.13.9",
    distribution="shop",
    entry_points=("shop",),
    packages=("shop==1.0",),
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST


def test_a_folder_without_one_is_no_release(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    assert read_manifest(tmp_path / "absent") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"app": "shop"}'])
def test_half_a_manifest_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    assert read_manifest(tmp_path) is None


def test_a_manifest_of_another_schema_is_none(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    path = tmp_path / NAME
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    assert read_manifest(tmp_path) is None


def test_fields_that_a_later_version_added_are_ignored(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    path = tmp_path / NAME
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 1, "more": true'))
    assert read_manifest(tmp_path) == MANIFEST


def test_one_that_cannot_be_read_is_an_error_and_not_absence(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(CeleriacError, match="cannot be read"):
        read_manifest(tmp_path)
