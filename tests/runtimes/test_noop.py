"""The runtime that runs nothing keeps its promises too."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtimes.base import Runtime, RuntimeContext, RuntimeFailure
from runtimes.noop import NoopRuntime
from specs.digest import digest
from specs.model import AppSpec


def made(home: Path) -> NoopRuntime:
    return NoopRuntime(RuntimeContext(home=home, node="node-1"))


def test_every_process_of_a_node_sees_the_same_apps(tmp_path: Path) -> None:
    one, other = made(tmp_path), made(tmp_path)
    assert isinstance(one, Runtime)
    spec = AppSpec("web", "1.0.0", env={"SECRET": "hunter2"})
    assert one.deploy(spec) == other.current_state()["web"]
    newer = other.upgrade(AppSpec("web", "1.1.0"), "1.0.0")
    assert one.current_state() == {"web": newer}
    assert newer.digest == str(digest(AppSpec("web", "1.1.0")))
    assert not any(b"hunter2" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    one.remove("web")
    other.remove("web")
    assert other.current_state() == {}


@pytest.mark.parametrize("what", ["deploy", "upgrade", "reconfigure", "remove", "build"])
def test_it_fails_as_it_is_told(tmp_path: Path, what: str) -> None:
    runtime = made(tmp_path)
    spec = AppSpec("web", "1.0.0", env={"NOOP_FAIL": what})
    calls = {
        "deploy": lambda: runtime.deploy(spec),
        "upgrade": lambda: runtime.upgrade(spec, "0.9"),
        "reconfigure": lambda: runtime.reconfigure(spec),
        "build": lambda: runtime.deploy(spec),
        "remove": lambda: (runtime.deploy(spec), runtime.remove("web")),
    }
    with pytest.raises(RuntimeFailure, match="NOOP_FAIL"):
        calls[what]()


def test_a_word_that_only_contains_remove_does_not_fail_a_removal(tmp_path: Path) -> None:
    runtime = made(tmp_path)
    runtime.deploy(AppSpec("web", "1.0.0", env={"NOOP_FAIL": "removed"}))
    runtime.remove("web")
    assert runtime.current_state() == {}
