"""A hosted app from its package to its answer: built by uv, served by the server beside it, reloaded in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hosting import HostedApp, app_wheel, shop, wheel_of

from runtimes.process import ProcessRuntime
from sources import build, resolve_processes


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only index there is."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return folder


def test_an_app_without_a_server_is_built_served_and_reloaded(home: Path, port: int, shelf: Path) -> None:
    for name in ("hypercorn", "h11", "h2", "hpack", "hyperframe", "priority", "wsproto"):
        wheel_of(name, shelf)
    for version in ("1.0", "1.1"):
        app_wheel(shelf, version, shop(version, "wsgi"))
    app = HostedApp(home, port, "wsgi")
    context = replace(app.context(), build=lambda spec: build(spec, home), resolve=resolve_processes)
    runtime = ProcessRuntime(context)
    first = runtime.deploy(app.spec("1.0"))
    assert app.get()["version"] == "1.0"
    state = runtime.upgrade(app.spec("1.1"), "1.0")
    told = app.get()
    assert (told["version"], told["pid"], state.pid) == ("1.1", first.pid, first.pid)
    assert told["hits"] > 1
    assert [event["modules"] for event in app.heard("code.load")] == [["shop.answers", "shop.web"]]


def test_a_module_that_asks_for_the_version_of_its_package_is_reloaded_with_every_version(
    home: Path, port: int, shelf: Path
) -> None:
    wheel_of("waitress", shelf)
    about = "from importlib.metadata import version\nVERSION = version('shop')\n"
    for version in ("1.0", "1.1"):
        files = shop("same", "wsgi", shop__about=about)
        files["shop/answers.py"] = "from shop.about import VERSION\n" + files["shop/answers.py"].replace(
            '"hits"', '"about": VERSION, "hits"'
        )
        app_wheel(shelf, version, files, ["waitress"])
    app = HostedApp(home, port, "wsgi")
    context = replace(app.context(), build=lambda spec: build(spec, home), resolve=resolve_processes)
    runtime = ProcessRuntime(context)
    first = runtime.deploy(app.spec("1.0"))
    assert app.get()["about"] == "1.0"
    state = runtime.upgrade(app.spec("1.1"), "1.0")
    told = app.get()
    assert (told["about"], told["stamp"], state.pid) == ("1.1", "1.1", first.pid)
    assert app.heard("code.load")[0]["modules"] == ["shop.about", "shop.answers", "shop.web"]


def test_a_package_that_comes_with_another_dependency_is_restarted(home: Path, port: int, shelf: Path) -> None:
    for name in ("waitress", "h11"):
        wheel_of(name, shelf)
    app_wheel(shelf, "1.0", shop("1.0", "wsgi"), ["waitress"])
    app_wheel(shelf, "1.1", shop("1.1", "wsgi"), ["waitress", "h11"])
    app = HostedApp(home, port, "wsgi")
    context = replace(app.context(), build=lambda spec: build(spec, home), resolve=resolve_processes)
    runtime = ProcessRuntime(context)
    first = runtime.deploy(app.spec("1.0"))
    state = runtime.upgrade(app.spec("1.1"), "1.0")
    assert state.pid != first.pid
    assert app.get()["version"] == "1.1"
    assert state.message == "restarted, since it could not be hot reloaded: its dependencies changed: h11"
