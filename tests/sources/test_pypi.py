"""A package from an index."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sources import BadSource, BuildFailed, Unreachable, VersionMissing, build, read_manifest
from sources.pypi import requirement
from specs.model import AppSpec, Source


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Source(), "shop==1.0"),
        (Source(package="My.Shop"), "My.Shop==1.0"),
        (Source(extras=("a", "b")), "shop[a,b]==1.0"),
    ],
)
def test_the_requirement_is_package_extras_and_version(source: Source, expected: str) -> None:
    assert requirement(AppSpec("shop", "1.0", source=source)) == expected


@pytest.mark.parametrize(
    ("package", "version"),
    [("--index-url=x", "1"), ("a b", "1"), ("shop @ file:///x", "1"), ("shop", "1,>0"), ("shop", "1; x"), ("shop", "")],
)
def test_what_is_more_than_a_package_and_a_version_is_refused(package: str, version: str) -> None:
    with pytest.raises(BadSource):
        requirement(AppSpec("shop", version, source=Source(package=package)))


def test_a_package_is_installed_with_what_it_needs(bench: Any, home: Path) -> None:
    bench.wheel("my-shop", "1.0", requires=("helper>=1", 'extra-one; extra == "one"'))
    bench.wheel("helper", "1.2")
    bench.wheel("extra-one", "3")
    spec = AppSpec("shop", "1.0", source=Source(package="my-shop", extras=("one",)))
    manifest = read_manifest(build(spec, home))
    assert manifest is not None
    assert manifest.packages == ("extra-one==3", "helper==1.2", "my-shop==1.0")
    assert (manifest.distribution, manifest.entry_points) == ("my-shop", ("my-shop",))
    assert manifest.source == "pypi my-shop[one]==1.0"


def test_a_missing_version_names_the_newest_and_shows_what_uv_said(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    bench.wheel("shop", "2.0.3")
    bench.wheel("shop", "2.0.4")
    with pytest.raises(VersionMissing) as caught:
        build(AppSpec("shop", "2.1.0"), home)
    assert caught.value.message == "no version of shop satisfies ==2.1.0"
    assert caught.value.hint == "newest is 2.0.4"
    assert any("there is no version of shop==2.1.0" in line for line in caught.value.output)
    nothing_left("shop")


def test_a_missing_package_says_what_to_check(bench: Any, home: Path, nothing_left: Callable[[str], None]) -> None:
    with pytest.raises(VersionMissing, match="check the name"):
        build(AppSpec("shop", "2.1.0"), home)
    nothing_left("shop")


def test_a_version_that_is_published_later_is_found_then(bench: Any, home: Path) -> None:
    with pytest.raises(VersionMissing):
        build(AppSpec("shop", "1.0"), home)
    bench.wheel("shop", "1.0")
    assert (build(AppSpec("shop", "1.0"), home) / "release.json").exists()


def test_a_dependency_that_cannot_be_had_is_a_conflict(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    bench.wheel("shop", "1.0", requires=("helper>=9",))
    with pytest.raises(BuildFailed) as caught:
        build(AppSpec("shop", "1.0"), home)
    assert caught.value.reason == "DependencyConflict"
    assert "helper" in str(caught.value)
    nothing_left("shop")


class _Index(BaseHTTPRequestHandler):
    """A simple index with one wheel, behind a password; pages may be cached, as on real ones."""

    files: dict[str, bytes]
    authorizations: set[str | None]

    def do_GET(self) -> None:
        self.authorizations.add(self.headers.get("Authorization"))
        if not self.headers.get("Authorization"):
            self._answer(401, b"", {"WWW-Authenticate": "Basic"})
        elif self.path.startswith("/files/"):
            self._answer(200, self.files[self.path.removeprefix("/files/")], {})
        elif self.path == "/simple/shop/" and self.files:
            links = "".join(f'<a href="/files/{name}">{name}</a>' for name in self.files)
            self._answer(200, links.encode(), {"Content-Type": "text/html", "Cache-Control": "max-age=600"})
        else:
            self._answer(404, b"", {})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def index() -> Iterator[tuple[str, type[_Index]]]:
    handler = type("Index", (_Index,), {"files": {}, "authorizations": set()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


def test_the_specs_own_index_is_asked_with_its_credentials_and_shows_none(
    bench: Any, home: Path, index: tuple[str, type[_Index]]
) -> None:
    address, handler = index
    wheel = bench.wheel("shop", "1.0", into="served")
    handler.files[wheel.name] = wheel.read_bytes()
    source = Source(index_url=f"http://bob:s3cretpw@{address}/simple")
    release = build(AppSpec("shop", "1.0", source=source), home)
    assert any(handler.authorizations)
    text = (release / "release.json").read_text()
    assert f"http://***@{address}/simple" in text
    found = [path for path in release.rglob("*") if path.is_file() and b"s3cretpw" in path.read_bytes()]
    assert found == []


def test_a_version_published_a_moment_ago_is_found_though_the_index_page_was_cached(
    bench: Any, home: Path, index: tuple[str, type[_Index]]
) -> None:
    address, handler = index
    source = Source(index_url=f"http://bob:pw@{address}/simple")
    for version in ("1.0", "1.1"):
        wheel = bench.wheel("shop", version, into="served")
        handler.files[wheel.name] = wheel.read_bytes()
        build(AppSpec("shop", version, source=source), home)


def test_an_index_that_refuses_access_is_said_without_the_credentials(
    bench: Any, home: Path, index: tuple[str, type[_Index]], nothing_left: Callable[[str], None]
) -> None:
    address, _ = index
    with pytest.raises(Unreachable, match="refused access"):
        build(AppSpec("shop", "1.0", source=Source(index_url=f"http://{address}/simple")), home)
    nothing_left("shop")


def test_an_index_that_does_not_answer_is_unreachable_and_its_password_is_not_shown(
    bench: Any, home: Path, monkeypatch: pytest.MonkeyPatch, nothing_left: Callable[[str], None]
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    source = Source(index_url="http://bob:s3cretpw@127.0.0.1:1/simple")
    with pytest.raises(Unreachable) as caught:
        build(AppSpec("shop", "1.0", source=source), home)
    assert caught.value.retryable
    assert "s3cretpw" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    nothing_left("shop")
