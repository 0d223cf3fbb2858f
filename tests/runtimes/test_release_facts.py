"""What a release is made of, read from real folders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from runtimes.release_facts import ReleaseFacts, read_facts


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def install(release: Path, name: str, version: str, files: dict[str, bytes]) -> None:
    site = release / "venv" / "lib" / "python3.12" / "site-packages"
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    rows = []
    for path, content in files.items():
        write(site / path, content)
        rows.append(f"{path},sha256={hashlib.sha256(content).hexdigest()},{len(content)}")
    write(site / info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    write(site / info / "RECORD", "\n".join([*rows, f"{info}/METADATA,,", f"{info}/RECORD,,"]) + "\n")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    write(tmp_path / "release.json", json.dumps({"distribution": "my-web", "python": "3.12.1", "later": [1]}))
    install(tmp_path, "my-web", "1.0", {"my_web/__init__.py": b"", "my_web/_fast.so": b"\x7fELF"})
    install(tmp_path, "Dep.One", "2.0", {"dep.py": b"x = 1\n", "_dep.so": b"\x7fELF"})
    return tmp_path


def test_the_apps_own_extensions_and_all_other_distributions_are_told_apart(release: Path) -> None:
    facts = read_facts(release)
    assert (facts.distribution, facts.python) == ("my-web", "3.12.1")
    assert {name: version for name, (version, _) in facts.dependencies.items()} == {"dep-one": "2.0"}
    own = "venv/lib/python3.12/site-packages/my_web/_fast.so"
    assert facts.extensions == {own: hashlib.sha256(b"\x7fELF").hexdigest()}


def test_a_dependency_that_was_built_anew_in_the_same_version_is_another_one(release: Path) -> None:
    before = read_facts(release)
    install(release, "Dep.One", "2.0", {"dep.py": b"x = 2\n"})
    after = read_facts(release)
    assert after.dependencies["dep-one"][0] == before.dependencies["dep-one"][0]
    assert after.dependencies != before.dependencies


def test_an_extension_in_the_source_that_was_checked_out_counts(release: Path) -> None:
    write(release / "src" / "my_web" / "_more.pyd", b"new")
    write(release / "src" / "my_web" / "__pycache__" / "x.so", b"no")
    assert "src/my_web/_more.pyd" in read_facts(release).extensions
    assert len(read_facts(release).extensions) == 2


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b"[]", b'{"distribution": 1}'])
def test_without_a_manifest_that_can_be_read_every_distribution_is_another_one(
    release: Path, content: bytes | None
) -> None:
    (release / "release.json").unlink()
    if content is not None:
        write(release / "release.json", content)
    facts = read_facts(release)
    assert (facts.distribution, facts.python, facts.extensions) == ("", "", {})
    assert facts.dependencies.keys() == {"dep-one", "my-web"}


def test_an_empty_folder_has_no_facts(tmp_path: Path) -> None:
    assert read_facts(tmp_path) == read_facts(tmp_path / "nowhere") == ReleaseFacts()


def test_a_manifest_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "release.json").mkdir()
    with pytest.raises(OSError):
        read_facts(tmp_path)
