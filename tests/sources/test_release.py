"""An app from one file: fetched over https or from disk, verified, installed."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import sources.archive
from sources import (
    ArchiveTooLarge,
    BadSource,
    ChecksumMismatch,
    Unreachable,
    UnsafeArchive,
    VersionMissing,
    build,
    read_manifest,
)
from sources.release import fetch, file_name
from specs.model import AppSpec, Source


def _spec(url: str, sha256: str, **source: Any) -> AppSpec:
    return AppSpec("shop", "1.0", source=Source(type="release", url=url, sha256=sha256, **source))


def _local(bench: Any, path: Path, **source: Any) -> AppSpec:
    return _spec(path.as_uri(), bench.sha256(path), **source)


def _nothing() -> None:
    """A check that never gives up."""


def _says(release: Path) -> str:
    done = subprocess.run([release / "venv/bin/shop"], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_wheel_is_installed(bench: Any, home: Path) -> None:
    bench.wheel("helper", "1.0")
    wheel = bench.wheel("shop", "1.0", requires=('helper; extra == "more"',), into="files")
    release = build(_local(bench, wheel, extras=("more",)), home)
    assert "hello from shop" in _says(release)
    manifest = read_manifest(release)
    assert manifest is not None
    assert manifest.packages == ("helper==1.0", "shop==1.0")
    assert (manifest.distribution, manifest.entry_points) == ("shop", ("shop",))
    assert manifest.source == f"release {wheel.as_uri()} sha256:{bench.sha256(wheel)}"


def test_an_sdist_is_built_and_installed(bench: Any, home: Path) -> None:
    files = bench.project(prefix="shop-1.0/") | {"shop-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: shop\n"}
    release = build(_local(bench, bench.tar(files, "shop-1.0.tar.gz")), home)
    assert "hello from shop" in _says(release)
    assert sorted(p.name for p in release.iterdir()) == ["files.json", "release.json", "venv"]


@pytest.mark.parametrize("prefix", ["", "repo-1.0/"])
def test_a_zip_of_a_project_is_built_and_installed(bench: Any, home: Path, prefix: str) -> None:
    assert "hello from shop" in _says(build(_local(bench, bench.zip(bench.project(prefix=prefix))), home))


def test_a_checksum_may_be_written_in_capitals(bench: Any, home: Path) -> None:
    wheel = bench.wheel("shop", "1.0", into="files")
    build(_spec(wheel.as_uri(), bench.sha256(wheel).upper()), home)


def test_another_checksum_says_both_and_installs_nothing(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    wheel = bench.wheel("shop", "1.0", into="files")
    with pytest.raises(ChecksumMismatch) as caught:
        build(_spec(wheel.as_uri(), "0" * 64), home)
    assert "0" * 64 in caught.value.message
    assert bench.sha256(wheel) in caught.value.message
    assert not caught.value.retryable
    nothing_left("shop")


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64])
def test_a_checksum_is_required(bench: Any, home: Path, nothing_left: Callable[[str], None], sha256: str) -> None:
    with pytest.raises(BadSource, match="sha256"):
        build(_spec(bench.wheel("shop", "1.0").as_uri(), sha256), home)
    nothing_left("shop")


def test_an_archive_that_reaches_outside_leaves_nothing(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    with pytest.raises(UnsafeArchive):
        build(_local(bench, bench.tar({"../../../../evil.py": ""})), home)
    nothing_left("shop")
    assert list(home.rglob("evil.py")) == []


def test_a_bomb_leaves_nothing(
    bench: Any, home: Path, nothing_left: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.archive, "MAX_BYTES", 100_000)
    with pytest.raises(ArchiveTooLarge):
        build(_local(bench, bench.tar({"bomb": "\0" * 1_000_000})), home)
    nothing_left("shop")


def test_a_file_that_is_no_archive_leaves_nothing(bench: Any, home: Path, nothing_left: Callable[[str], None]) -> None:
    path = bench.folder / "app.tar.gz"
    path.write_text("<html>not what you wanted</html>")
    with pytest.raises(UnsafeArchive, match=r"app\.tar\.gz"):
        build(_local(bench, path), home)
    nothing_left("shop")


def test_a_wheel_needs_its_name(bench: Any, home: Path, nothing_left: Callable[[str], None]) -> None:
    wheel = bench.wheel("shop", "1.0", into="files").rename(bench.folder / "latest.whl")
    with pytest.raises(BadSource, match="wheel's name"):
        build(_local(bench, wheel), home)
    nothing_left("shop")


@pytest.mark.parametrize("scheme", ["http", "ftp", ""])
def test_releases_come_over_https_or_from_a_file_only(tmp_path: Path, scheme: str) -> None:
    with pytest.raises(BadSource):
        fetch(f"{scheme}://bob:pw@127.0.0.1:1/a.whl", tmp_path / "a", _nothing)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_absent_or_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(VersionMissing, match="no such file"):
        fetch((tmp_path / "absent.whl").as_uri(), tmp_path / "a", _nothing)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadSource, match="not a file"):
        fetch((tmp_path / "pipe").as_uri(), tmp_path / "b", _nothing)
    with pytest.raises(BadSource, match="on this machine"):
        fetch("file://elsewhere/a.whl", tmp_path / "c", _nothing)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/shop-1.0-py3-none-any.whl?sig=x#y", "shop-1.0-py3-none-any.whl"),
        ("https://h/a/shop-1.0%2Blocal.tar.gz", "shop-1.0+local.tar.gz"),
        ("https://h/..%2f..%2fevil", "evil"),
        ("https://h/.hidden", "hidden"),
        ("https://h/%00%0a", "__"),
        ("https://h/", "archive"),
        ("https://h", "archive"),
    ],
)
def test_the_name_of_a_download_is_safe(url: str, name: str) -> None:
    assert file_name(url) == name


class _Files(BaseHTTPRequestHandler):
    """Serves what the test puts into `answers`: path → (status, headers, body)."""

    answers: dict[str, tuple[int, dict[str, str], bytes]]
    authorizations: dict[str, str | None]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.authorizations[path] = self.headers.get("Authorization")
        status, headers, body = self.answers.get(path, (404, {}, b""))
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients of these tests hang up on purpose."""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[_Files]]]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    handler = type("Files", (_Files,), {"answers": {}, "authorizations": {}})
    with _Server(("127.0.0.1", 0), handler) as httpd:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"localhost:{httpd.server_port}", handler
        httpd.shutdown()
        thread.join()


def test_a_wheel_comes_over_https_through_a_redirect_with_credentials_for_the_first_host_only(
    bench: Any, home: Path, server: tuple[str, type[_Files]]
) -> None:
    address, handler = server
    wheel = bench.wheel("shop", "1.0", into="files")
    elsewhere = f"https://{address.replace('localhost', '127.0.0.1')}/stored"
    handler.answers[f"/{wheel.name}"] = (302, {"Location": elsewhere}, b"")
    handler.answers["/stored"] = (200, {}, wheel.read_bytes())
    url = f"https://bob:s3cretpw@{address}/{wheel.name}?sig=t0psecret"
    release = build(_spec(url, bench.sha256(wheel)), home)
    assert "hello from shop" in _says(release)
    assert handler.authorizations[f"/{wheel.name}"] is not None
    assert handler.authorizations["/stored"] is None
    text = (release / "release.json").read_text()
    assert f"https://***@{address}/{wheel.name} sha256" in text
    leaks = [p for p in release.rglob("*") if p.is_file() and (b"s3cretpw" in (c := p.read_bytes()) or b"t0ps" in c)]
    assert leaks == []


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (404, {}, VersionMissing),
        (410, {}, VersionMissing),
        (401, {}, Unreachable),
        (500, {}, Unreachable),
        (204, {}, Unreachable),
        (302, {"Location": "http://127.0.0.1:1/a"}, BadSource),
        (302, {"Location": "/a"}, Unreachable),
        (200, {"Content-Length": "100"}, Unreachable),
    ],
)
def test_answers_that_are_no_file_are_told_apart_and_show_no_credentials(
    tmp_path: Path, server: tuple[str, type[_Files]], status: int, headers: dict[str, str], kind: type[Exception]
) -> None:
    address, handler = server
    handler.answers["/a"] = (status, headers, b"")
    with pytest.raises(kind) as caught:
        fetch(f"https://bob:s3cretpw@{address}/a?sig=t0psecret", tmp_path / "a", _nothing)
    assert "s3cretpw" not in str(caught.value)
    assert "t0psecret" not in str(caught.value)
    assert f"{address}/a" in str(caught.value)


def test_a_certificate_that_nobody_trusts_is_refused(
    tmp_path: Path, server: tuple[str, type[_Files]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Unreachable, match=r"(?i)certificate"):
        fetch(f"https://{server[0]}/a", tmp_path / "a", _nothing)


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(Unreachable) as caught:
        fetch("https://bob:s3cretpw@127.0.0.1:1/a", tmp_path / "a", _nothing)
    assert caught.value.retryable
    assert "s3cretpw" not in str(caught.value)


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    tmp_path: Path, server: tuple[str, type[_Files]]
) -> None:
    address, handler = server
    release = threading.Event()
    handler.do_GET = lambda self: release.wait(30) and None  # type: ignore[method-assign,assignment]
    with pytest.raises(Unreachable):
        fetch(f"https://{address}/a", tmp_path / "a", _nothing, client_timeout=0.2)
    release.set()


def test_a_download_that_is_too_large_ends(
    tmp_path: Path, server: tuple[str, type[_Files]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    monkeypatch.setattr("sources.release.MAX_DOWNLOAD", 1_000_000)
    handler.answers["/a"] = (200, {}, b"x" * 3_000_000)
    with pytest.raises(ArchiveTooLarge):
        fetch(f"https://{address}/a", tmp_path / "a", _nothing)
    assert (tmp_path / "a").stat().st_size <= 1_000_000


def test_a_download_can_be_given_up(tmp_path: Path, server: tuple[str, type[_Files]]) -> None:
    address, handler = server
    handler.answers["/a"] = (200, {}, b"x" * 3_000_000)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        fetch(f"https://{address}/a", tmp_path / "a", stop)
