"""A release from one file: a wheel, an sdist, a tar.gz or a zip, over https or from this machine's disk.

The file is hashed while it streams in and nothing is done with it until the digest is the one that the spec pins.
Wheels are installed as they are; everything else is unpacked within bounds first.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from sources.archive import check_wheel, unpack
from sources.failure import ArchiveTooLarge, BadSource, ChecksumMismatch, Unreachable, VersionMissing
from sources.installer import install
from sources.masking import mask, secrets_of, shown_url
from sources.tree import install_tree
from sources.workshop import Workshop
from specs.model import AppSpec

MAX_DOWNLOAD = 10**9
_MAX_REDIRECTS = 10
_CHUNK = 1 << 18


def fetch_and_install(spec: AppSpec, workshop: Workshop) -> str:
    """Download, verify and install; return the installed distribution, "" for plain files.

    Raises Unreachable, VersionMissing, ChecksumMismatch, UnsafeArchive, ArchiveTooLarge or BuildFailed.
    """
    url, expected = spec.source.url, spec.source.sha256.lower()
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        raise BadSource("source.sha256 is required and has 64 hex digits", hint="see: sha256sum FILE")
    workshop.report("fetching")
    file = workshop.scratch / file_name(url)
    actual = fetch(url, file, workshop.check)
    if actual != expected:
        raise ChecksumMismatch(
            f"{shown_url(url)} has sha256 {actual}, but the spec asks for {expected}",
            hint="either the file was replaced, which is a reason to be careful, or source.sha256 is for another file",
        )
    workshop.report("building")
    if file.suffix == ".whl":
        return _install_wheel(spec, workshop, file)
    unpacked = workshop.scratch / "unpacked"
    unpack(file, unpacked, check=workshop.check)
    file.unlink()
    return install_tree(spec, workshop, unpacked)


def file_name(url: str) -> str:
    """The name to store the file of `url` under: its own, in characters that are safe in a path."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".-")[-180:] or "archive"


def fetch(url: str, target: Path, check: Callable[[], None], *, client_timeout: float = 30.0) -> str:
    """Store what `url` names as the file `target`; return its SHA-256. `check` may raise to give up.

    Raises Unreachable, VersionMissing, ArchiveTooLarge, or BadSource for a URL of another kind.
    """
    scheme = urlsplit(url).scheme
    if scheme == "file":
        chunks = _read_file(url)
    elif scheme == "https":
        chunks = _download(url, client_timeout)
    else:
        raise BadSource(f"{shown_url(url)}: releases come over https or from a file", hint="check source.url")
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > MAX_DOWNLOAD:
                raise ArchiveTooLarge(f"{shown_url(url)} is larger than {MAX_DOWNLOAD:,} bytes")
            digest.update(chunk)
            file.write(chunk)
            check()
    return digest.hexdigest()


def _read_file(url: str) -> Iterator[bytes]:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise BadSource(f"{shown_url(url)}: a file is on this machine", hint="write file:///path/to/file")
    path = unquote(parts.path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise VersionMissing(f"{path}: no such file", hint="it must be on every node that runs the app") from None
    except OSError as error:
        raise Unreachable(f"{path}: cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadSource(f"{path} is not a file", hint="source.url names a wheel, sdist, tar.gz or zip")
        while chunk := file.read(_CHUNK):
            yield chunk


def _download(url: str, timeout: float) -> Iterator[bytes]:
    import httpx  # imported late: it takes a third of a second, and most builds need it not

    secrets = secrets_of(url)
    try:
        with httpx.Client(timeout=httpx.Timeout(timeout, connect=10.0)) as client:
            request = client.build_request("GET", url, headers={"Accept-Encoding": "identity", "Accept": "*/*"})
            for _ in range(_MAX_REDIRECTS + 1):
                response = client.send(request, stream=True)
                try:
                    following = response.next_request
                    if following is None:
                        _refuse_error(response.status_code, url)
                        yield from response.iter_bytes(_CHUNK)
                        return
                finally:
                    response.close()
                request = following
                if request.url.scheme != "https":
                    raise BadSource(f"{shown_url(url)} redirects to {request.url.scheme}://, which is not https")
        raise Unreachable(f"{shown_url(url)} redirects more than {_MAX_REDIRECTS} times")
    except httpx.HTTPError as error:
        said = mask(str(error), secrets) or type(error).__name__
        raise Unreachable(
            f"{shown_url(url)} cannot be fetched: {said}", hint="it must be reachable from this node"
        ) from None
    except httpx.InvalidURL as error:
        raise BadSource(f"source.url is not a URL: {mask(str(error), secrets)}") from None


def _refuse_error(status: int, url: str) -> None:
    if status in {404, 410}:
        raise VersionMissing(f"{shown_url(url)}: not found ({status})", hint="publish the file, or correct source.url")
    if status != 200:
        hint = "check the credentials in source.url" if status in {401, 403} else "the server may be back later"
        raise Unreachable(f"{shown_url(url)}: the server answered {status}", hint=hint)


def _install_wheel(spec: AppSpec, workshop: Workshop, wheel: Path) -> str:
    try:
        name = str(parse_wheel_filename(wheel.name)[0])
    except InvalidWheelFilename as error:
        raise BadSource(f"{wheel.name} is not a wheel's name", hint="keep the name that the build gave it") from error
    check_wheel(wheel)
    extras = f"[{','.join(spec.source.extras)}]" if spec.source.extras else ""
    install(workshop, f"{name}{extras} @ {wheel.as_uri()}", title=f"{spec.name} {spec.version}", package="")
    return name
