"""The releases that run are looked after: damage is found, told in the state, and built anew."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from celeriac import fingerprint
from runtimes import integrity
from runtimes.base import RuntimeContext, RuntimeFailure
from runtimes.process import ProcessRuntime
from sources.failure import VersionMissing
from specs.model import AppSpec, Health, Run

Builder = Callable[[Path, AppSpec], Path]


@pytest.fixture
def built(home: Path, release_of: Builder) -> list[str]:
    """The versions that were built, each noted down as `sources.build` does."""
    return []


@pytest.fixture
def kept(home: Path, release_of: Builder, built: list[str]) -> ProcessRuntime:
    """A runtime whose releases have packages, and are noted down when they are complete."""

    def build(spec: AppSpec) -> Path:
        if "unreachable" in built:
            raise VersionMissing("the index does not answer")
        folder = release_of(home, spec)
        package = folder / "venv" / "lib" / "python3.11" / "site-packages" / "shop.py"
        if not package.exists() and not (folder / fingerprint.NAME).exists():
            package.parent.mkdir(parents=True)
            package.write_text("one = 1\n")
            fingerprint.write(folder)
            built.append(spec.version)
        return folder

    return ProcessRuntime(RuntimeContext(home=home, node="node-1", build=build))


def web(port: int, **more: Any) -> AppSpec:
    health = Health(port=port, path="/", timeout=2.0, grace=20.0)
    return replace(AppSpec("web", "1.0.0", run=Run({"main": ("python", "../current/web.py")}), health=health), **more)


def package(state: Any) -> Path:
    return Path(state.path, "venv", "lib", "python3.11", "site-packages", "shop.py")


def test_a_deleted_file_is_found_at_once_and_the_release_built_anew(
    kept: ProcessRuntime, built: list[str], port: int
) -> None:
    first = kept.deploy(web(port))
    assert kept.verify() == 1
    assert kept.verify() == 0  # nothing came or went
    package(first).unlink()
    assert kept.verify() == 1
    state = kept.current_state()["web"]
    assert (state.status, state.drift) == (
        "failed", "files of its release were changed or deleted: venv/lib/python3.11/site-packages/shop.py",
    )  # fmt: skip
    again = kept.deploy(web(port))
    assert (again.status, again.health, again.drift) == ("running", "healthy", "")
    assert again.pid != first.pid
    assert package(again).read_text() == "one = 1\n"
    assert built == ["1.0.0", "1.0.0"]
    kept.verify()
    assert kept.current_state()["web"].drift == ""


def test_a_changed_file_is_found_within_a_minute(
    kept: ProcessRuntime, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = kept.deploy(web(port))
    kept.verify()
    with package(state).open("a") as file:
        file.write("two = 2\n")
    assert kept.verify() == 0
    seen = kept.home / "apps" / "web" / "integrity.json"
    os.utime(seen, (time.time() - integrity.EVERY, time.time() - integrity.EVERY))
    assert kept.verify() == 1
    assert "shop.py" in kept.current_state()["web"].drift


def test_a_damaged_release_that_cannot_be_built_anew_stays(kept: ProcessRuntime, built: list[str], port: int) -> None:
    state = kept.deploy(web(port))
    kept.verify()
    package(state).unlink()
    kept.verify()
    built.append("unreachable")
    with pytest.raises(RuntimeFailure):
        kept.deploy(web(port))
    assert (Path(state.path) / "venv" / "bin" / "python").exists()
    assert kept.current_state()["web"].pid == state.pid
    assert [path.name for path in Path(state.path).parent.iterdir()] == [Path(state.path).name]


def test_a_release_that_is_gone_as_a_whole_is_built_anew(kept: ProcessRuntime, built: list[str], port: int) -> None:
    first = kept.deploy(web(port))
    shutil.rmtree(first.path)
    assert kept.current_state()["web"].drift == "its virtual environment is gone"
    assert kept.deploy(web(port)).health == "healthy"
    assert built == ["1.0.0", "1.0.0"]


def test_an_app_that_was_started_anew_is_not_called_healthy_before_it_answered(kept: ProcessRuntime, port: int) -> None:
    from waiting import wait_for

    spec = web(port)
    state = kept.deploy(spec)
    ill = kept.home / "apps" / "web" / "data" / "ill"
    ill.touch()
    assert state.pid is not None
    os.kill(state.pid, 9)
    wait_for(lambda: (now := kept.current_state()["web"]).status == "running" and now.pid != state.pid)
    for _ in range(4):  # within its grace, failures do not count
        kept.check(spec)
        assert kept.current_state()["web"].health == "unknown"
    short = replace(spec, health=replace(spec.health, grace=0.0))  # type: ignore[type-var]
    for _ in range(3):
        kept.check(short)
    assert kept.current_state()["web"].health == "unhealthy"
    ill.unlink()
    wait_for(lambda: kept.check(spec).ok)
    assert kept.current_state()["web"].health == "healthy"
