"""Archives from strangers cannot escape, and cannot fill the disk."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources import archive
from sources.archive import check_links, check_wheel, unpack
from sources.failure import ArchiveTooLarge, UnsafeArchive

Member = tuple[str, bytes, str, str]  # name, tar type, content, link target


def _tar(path: Path, *members: Member) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, content, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, target, len(content)
            tar.addfile(info, io.BytesIO(content.encode()))
    return path


def _file(name: str, content: str = "x") -> Member:
    return (name, tarfile.REGTYPE, content, "")


def _link(name: str, target: str) -> Member:
    return (name, tarfile.SYMTYPE, "", target)


def _zip(path: Path, *members: tuple[str, str, int]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive_:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive_.writestr(info, content)
    return path


def test_files_folders_and_links_inside_come_out_as_they_were(tmp_path: Path) -> None:
    path = _tar(
        tmp_path / "a.tar.gz",
        ("top", tarfile.DIRTYPE, "", ""),
        _file("top/a.txt", "one"),
        _link("top/link", "a.txt"),
        ("top/hard", tarfile.LNKTYPE, "", "top/a.txt"),
        _link("top/dangling", "later.txt"),
        _file("./top/b.txt", "two"),
    )
    unpack(path, tmp_path / "out")
    assert (tmp_path / "out/top/link").read_text() == "one"
    assert (tmp_path / "out/top/hard").read_text() == "one"
    assert (tmp_path / "out/top/b.txt").read_text() == "two"


def test_only_the_executable_bit_survives_of_a_files_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, mode in (("run", 0o6777), ("data", 0o666)):
            info = tarfile.TarInfo(name)
            info.mode = mode
            tar.addfile(info, io.BytesIO())
    unpack(path, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out/run").stat().st_mode) & ~0o755 == 0
    assert os.access(tmp_path / "out/run", os.X_OK)
    assert stat.S_IMODE((tmp_path / "out/data").stat().st_mode) & 0o111 == 0


@pytest.mark.parametrize(
    "members",
    [
        [_file("/etc/evil")],
        [_file("../evil")],
        [_file("a/../../evil")],
        [_file("..\\evil")],
        [_file("a\nb")],
        [_link("out", "/etc/passwd")],
        [_link("out", "../evil")],
        [_link("a/b/out", "../../../evil")],
        [_link("one", "two/../.."), _link("two", ".")],
        [_link("d", "sub"), ("sub/l", tarfile.SYMTYPE, "", "../..")],
        [_link("d", ".."), _file("d/evil")],
        [_file("d/file"), _link("d", "..")],
        [("hard", tarfile.LNKTYPE, "", "/etc/passwd")],
        [("hard", tarfile.LNKTYPE, "", "../evil")],
        [("hard", tarfile.LNKTYPE, "", "not-there")],
        [("device", tarfile.CHRTYPE, "", "")],
        [("disk", tarfile.BLKTYPE, "", "")],
        [("pipe", tarfile.FIFOTYPE, "", "")],
        [_file("a"), _file("a/b")],
        [_file(".")],
    ],
    ids=lambda members: "+".join(f"{name}>{target}" for name, _, _, target in members).replace("\n", "LF"),
)
def test_a_tar_that_reaches_outside_is_refused_and_writes_nothing_there(tmp_path: Path, members: list[Member]) -> None:
    path = _tar(tmp_path / "a.tar.gz", *members)
    (tmp_path / "in").mkdir()
    with pytest.raises(UnsafeArchive):
        unpack(path, tmp_path / "in" / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar.gz", "in"]
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("name", "content", "mode"),
    [
        ("/etc/evil", "x", 0),
        ("../evil", "x", 0),
        ("a/../../evil", "x", 0),
        ("link", "/etc/passwd", stat.S_IFLNK | 0o777),
        ("link", "../evil", stat.S_IFLNK | 0o777),
        ("device", "", stat.S_IFCHR | 0o666),
        ("pipe", "", stat.S_IFIFO | 0o666),
    ],
)
def test_a_zip_that_reaches_outside_is_refused(tmp_path: Path, name: str, content: str, mode: int) -> None:
    with pytest.raises(UnsafeArchive):
        unpack(_zip(tmp_path / "a.zip", (name, content, mode)), tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"]


def test_a_zip_with_links_inside_and_programs_is_unpacked(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("bin/run", "x", 0o100755), ("run", "bin/run", stat.S_IFLNK | 0o777), ("d/", "", 0))
    unpack(path, tmp_path / "out")
    assert os.access(tmp_path / "out/run", os.X_OK)
    assert (tmp_path / "out/d").is_dir()


def test_the_later_of_two_members_of_one_name_wins_and_leaves_its_hard_links_alone(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar.gz", _file("a", "1"), ("b", tarfile.LNKTYPE, "", "a"), _file("a", "2"))
    unpack(path, tmp_path / "out")
    assert ((tmp_path / "out/a").read_text(), (tmp_path / "out/b").read_text()) == ("2", "1")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_too_many_files_end_the_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 10)
    names = [f"f{n}" for n in range(11)]
    if kind == "tar":
        path = _tar(tmp_path / "a.tar.gz", *(_file(name) for name in names))
    else:
        path = _zip(tmp_path / "a.zip", *((name, "x", 0) for name in names))
    with pytest.raises(ArchiveTooLarge, match="more than 10 files"):
        unpack(path, tmp_path / "out")


def _sizes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_bomb_ends_the_unpacking_when_the_bytes_are_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1_000_000)
    bomb = "\0" * 8_000_000
    if kind == "tar":
        path = _tar(tmp_path / "a.tar.gz", _file("ok"), _file("bomb", bomb))
    else:
        path = _zip(tmp_path / "a.zip", ("ok", "x", 0), ("bomb", bomb, 0))
    assert path.stat().st_size < 20_000
    with pytest.raises(ArchiveTooLarge):
        unpack(path, tmp_path / "out")
    assert _sizes(tmp_path / "out") <= 1_000_000


def test_a_zip_that_lies_about_its_sizes_does_not_get_past_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _zip(tmp_path / "a.zip", ("bomb", "\0" * 3_000_000, 0))
    honest = path.read_bytes()
    path.write_bytes(honest.replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert path.read_bytes() != honest
    monkeypatch.setattr(archive, "MAX_BYTES", 1_000_000)
    with pytest.raises((ArchiveTooLarge, UnsafeArchive)):
        unpack(path, tmp_path / "out")
    assert _sizes(tmp_path / "out") <= 1_000_000


def test_bytes_that_no_file_shows_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gzip bomb may hide in what tar skips, such as the content of a folder entry."""
    monkeypatch.setattr(archive, "MAX_BYTES", 100_000)
    monkeypatch.setattr(archive, "MAX_FILES", 10)
    info = tarfile.TarInfo("big")
    info.size = 50_000_000
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(info.tobuf() + b"\0" * 5_000_000))
    with pytest.raises(ArchiveTooLarge):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_header_that_announces_a_huge_name_is_refused_before_it_is_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("name")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**30
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(info.tobuf() + b"a" * 4096))
    with pytest.raises(UnsafeArchive, match="header"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_long_names_are_fine(tmp_path: Path) -> None:
    name = "/".join(["folder" * 10] * 5) + "/file"
    unpack(_tar(tmp_path / "a.tar.gz", _file(name, "deep")), tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "deep"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b junk", b"PK\x03\x04 junk", b"PK\x05\x06"])
def test_what_is_no_archive_is_called_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(UnsafeArchive, match=r"a\.bin is damaged"):
        unpack(tmp_path / "a.bin", tmp_path / "out")


def test_a_truncated_archive_is_called_damaged(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar.gz", _file("a", os.urandom(3000).hex()))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnsafeArchive, match="damaged"):
        unpack(path, tmp_path / "out")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("a", "x", 0))
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UnsafeArchive, match="encrypted"):
        unpack(path, tmp_path / "out")


def test_unpacking_can_be_given_up(tmp_path: Path) -> None:
    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        unpack(_tar(tmp_path / "a.tar.gz", _file("a")), tmp_path / "out", check=stop)


def test_links_out_of_a_folder_are_found_in_what_others_wrote(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "fine").symlink_to(".")
    check_links(tmp_path / "in")
    (tmp_path / "in" / "bad").symlink_to("../other")
    with pytest.raises(UnsafeArchive, match="bad"):
        check_links(tmp_path / "in")


@pytest.mark.parametrize(
    ("limit", "value", "kind"), [("MAX_FILES", 2, ArchiveTooLarge), ("MAX_BYTES", 10, ArchiveTooLarge)]
)
def test_a_wheel_out_of_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, kind: type[Exception]
) -> None:
    path = _zip(tmp_path / "a.whl", *((f"f{n}", "content", 0) for n in range(3)))
    check_wheel(path)
    monkeypatch.setattr(archive, limit, value)
    with pytest.raises(kind):
        check_wheel(path)


@pytest.mark.parametrize(
    "make", [lambda p: p.write_bytes(b"junk"), lambda p: _zip(p, ("../evil", "x", 0))], ids=["junk", "escape"]
)
def test_a_wheel_that_is_none_or_reaches_outside_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "a.whl")
    with pytest.raises(UnsafeArchive):
        check_wheel(tmp_path / "a.whl")


_PART = st.sampled_from(["a", "b", "..", ".", "", "c d", "/"])
_PATHS = st.lists(_PART, min_size=1, max_size=4).map("/".join)
_KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_PATHS, _KINDS, st.just(""), _PATHS), max_size=5))
def test_no_mix_of_files_and_links_ever_gets_out(
    tmp_path_factory: pytest.TempPathFactory, members: list[Member]
) -> None:
    tmp_path = tmp_path_factory.mktemp("mix")
    path = _tar(tmp_path / "a.tar.gz", *members)
    (tmp_path / "in").mkdir()
    try:
        unpack(path, tmp_path / "in" / "out")
    except UnsafeArchive:
        pass
    else:
        for found in (tmp_path / "in" / "out").rglob("*"):
            assert Path(os.path.realpath(found)).is_relative_to(tmp_path / "in" / "out")
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["out"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar.gz", "in"]
