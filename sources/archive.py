"""Unpacks archives from strangers: tar, tar.gz and zip, into an empty folder that nothing can escape from.

What is counted is what comes out of the decompressor, never what a header claims. Files are written first and
symbolic links made last, so no file is ever written through a link; a link that would lead out of the folder,
a device, an absolute path or a `..` fails the whole archive. Owners, times and special mode bits are dropped.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Protocol

from sources.failure import ArchiveTooLarge, UnsafeArchive

MAX_FILES = 100_000
MAX_BYTES = 2 * 10**9
_MAX_HEADER = 2**20  # long names and pax records are read into memory at once
_MAX_LINK = 4096
_CHUNK = 1 << 18
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def unpack(archive: Path, folder: Path, *, check: Callable[[], None] = lambda: None) -> None:
    """Unpack `archive` into `folder`, which is made and must not exist.

    `check` is called between chunks and may raise to give up. Raises UnsafeArchive or ArchiveTooLarge; what was
    unpacked by then is the caller's to delete.
    """
    folder.mkdir(mode=0o755)
    writer = _Writer(folder, check)
    try:
        if _is_zip(archive):
            _unpack_zip(archive, writer)
        else:
            _unpack_tar(archive, writer)
    except _DAMAGED as error:
        raise UnsafeArchive(
            f"{archive.name} is damaged, or no tar, tar.gz or zip archive: {str(error) or type(error).__name__}",
            hint="check the URL; the file itself matched its checksum",
        ) from error
    writer.make_links()


def check_wheel(wheel: Path) -> None:
    """Refuse a wheel whose names or sizes are out of bounds; its content is left to the installer.

    Raises UnsafeArchive or ArchiveTooLarge.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = archive.infolist()
    except _DAMAGED as error:
        raise UnsafeArchive(f"{wheel.name} is no wheel: {str(error) or type(error).__name__}") from error
    if len(members) > MAX_FILES:
        raise ArchiveTooLarge(f"{wheel.name} holds more than {MAX_FILES:,} files")
    if sum(member.file_size for member in members) > MAX_BYTES:
        raise ArchiveTooLarge(f"{wheel.name} unpacks to more than {MAX_BYTES:,} bytes")
    for member in members:
        _parts(member.orig_filename)


def check_links(folder: Path) -> None:
    """Raises UnsafeArchive when a symbolic link below `folder` leads out of it, directly or through others."""
    root = os.path.realpath(folder)
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            child = Path(path, name)
            if child.is_symlink() and not _inside(os.path.realpath(child), root):
                shown = str(child.relative_to(folder))
                raise UnsafeArchive(f"{shown!r} in the archive links to {str(child.readlink())!r}, outside of it")


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:  # by its first bytes: a tar whose last file is a zip ends like one
        return file.read(4) in {b"PK\x03\x04", b"PK\x05\x06"}


def _unpack_tar(path: Path, writer: _Writer) -> None:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream: _Readable = gzip.GzipFile(fileobj=file) if packed else file
        counted = _Counted(stream, MAX_BYTES + 2048 * MAX_FILES, path.name)
        with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Header, errorlevel=2) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined] # else it keeps every header, which may be large
                _unpack_member(tar, member, writer)


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, writer: _Writer) -> None:
    if member.isdir():
        writer.folder(member.name)
    elif member.issym():
        writer.link(member.name, member.linkname)
    elif member.islnk():
        writer.hard_link(member.name, member.linkname)
    elif member.isreg() and not member.issparse():
        content = tar.extractfile(member)
        writer.file(member.name, content or io.BytesIO(), executable=bool(member.mode & 0o111))
    else:
        raise UnsafeArchive(f"{member.name!r} in the archive is neither a file, a folder nor a link")


def _unpack_zip(path: Path, writer: _Writer) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MAX_FILES:
            raise ArchiveTooLarge(f"{path.name} holds more than {MAX_FILES:,} files")
        for member in members:
            name, mode = member.orig_filename, member.external_attr >> 16
            kind = stat.S_IFMT(mode)
            if member.flag_bits & 0x1:
                raise UnsafeArchive(f"{name!r} in the archive is encrypted")
            if member.is_dir() or kind == stat.S_IFDIR:
                writer.folder(name)
            elif kind == stat.S_IFLNK:
                with archive.open(member) as content:
                    target = content.read(_MAX_LINK + 1)
                writer.link(name, os.fsdecode(target))
            elif kind in (0, stat.S_IFREG):
                with archive.open(member) as content:
                    writer.file(name, content, executable=bool(mode & 0o111))
            else:
                raise UnsafeArchive(f"{name!r} in the archive is neither a file, a folder nor a link")


class _Writer:
    """Puts members below `root`, counting what it writes."""

    def __init__(self, root: Path, check: Callable[[], None]) -> None:
        self._root = root
        self._check = check
        self._members = 0
        self._bytes = 0
        self._links: list[tuple[str, Path, str]] = []

    def folder(self, name: str) -> None:
        self._count()
        self._make(self._root.joinpath(*_parts(name)), name)

    def file(self, name: str, content: _Readable, *, executable: bool) -> None:
        target = self._place(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(target, flags, 0o755 if executable else 0o644)
        except OSError as error:
            raise UnsafeArchive(f"{name!r} in the archive cannot be written: {error.strerror}") from error
        with os.fdopen(descriptor, "wb") as file:
            while chunk := content.read(_CHUNK):
                self._bytes += len(chunk)
                if self._bytes > MAX_BYTES:
                    raise ArchiveTooLarge(f"the archive unpacks to more than {MAX_BYTES:,} bytes")
                file.write(chunk)
                self._check()

    def hard_link(self, name: str, linked: str) -> None:
        target = self._place(name)
        source = self._root.joinpath(*_parts(linked))
        if not source.is_file():  # links are not made yet, so nothing on this path is one
            raise UnsafeArchive(f"{name!r} in the archive links to {linked!r}, which is not a file before it")
        os.link(source, target, follow_symlinks=False)

    def link(self, name: str, linked: str) -> None:
        self._count()
        parts = _parts(name)
        if not parts or not linked or len(linked) > _MAX_LINK or "\0" in linked or linked.startswith("/"):
            raise UnsafeArchive(f"{name!r} in the archive is a link out of it")
        self._links.append((name, self._root.joinpath(*parts), linked))

    def make_links(self) -> None:
        """Make all links, then see where each one leads, through the others too."""
        for name, target, linked in self._links:
            self._make(target.parent, name)
            if os.path.lexists(target):
                raise UnsafeArchive(f"{name!r} is in the archive twice, once as a link")
            target.symlink_to(linked)
        check_links(self._root)

    def _place(self, name: str) -> Path:
        """Where the file `name` goes, with its folder made and an earlier file of that name gone."""
        self._count()
        parts = _parts(name)
        if not parts:
            raise UnsafeArchive("the archive holds a file without a name")
        target = self._root.joinpath(*parts)
        self._make(target.parent, name)
        if target.is_file():
            target.unlink()
        return target

    def _make(self, folder: Path, name: str) -> None:
        root = os.path.realpath(self._root)
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise UnsafeArchive(f"{name!r} in the archive needs a folder where a file is") from error
        if not _inside(os.path.realpath(folder), root):
            raise UnsafeArchive(f"{name!r} in the archive goes through a link out of it")

    def _count(self) -> None:
        self._members += 1
        if self._members > MAX_FILES:
            raise ArchiveTooLarge(f"the archive holds more than {MAX_FILES:,} files")
        self._check()


class _Counted(io.BufferedIOBase):
    """A stream that ends the unpacking when more comes out of it than any archive may hold."""

    def __init__(self, stream: _Readable, limit: int, name: str) -> None:
        self._stream = stream
        self._left = limit
        self._name = name

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = self._stream.read(_CHUNK if size is None or size < 0 else min(size, _CHUNK))
        self._left -= len(chunk)
        if self._left < 0:
            raise ArchiveTooLarge(f"{self._name} unpacks to more than {MAX_BYTES:,} bytes")
        return chunk


class _Header(tarfile.TarInfo):
    """A tar header that refuses to announce a huge name or pax record."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        ordinary = {*tarfile.REGULAR_TYPES, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE}
        if header.type not in ordinary and header.size > _MAX_HEADER:
            raise UnsafeArchive("the archive has a header of more than 1 MiB")
        return header


def _parts(name: str) -> tuple[str, ...]:
    """The path `name` in parts; raises UnsafeArchive when it is not one below the archive's folder."""
    parts = tuple(part for part in PurePosixPath(name).parts if part != ".")
    if name.startswith(("/", "\\")) or ".." in parts or ".." in name.split("\\") or any(ord(c) < 32 for c in name):
        raise UnsafeArchive(f"{name!r} in the archive is a path out of it")
    return parts


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root + os.sep)
