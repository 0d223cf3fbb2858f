"""Embedded apps: guests of one shared host process under a real supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hosting import free_port
from lodgers import Lodgers

from runtimes import strays
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor
from runtimes.testing import RuntimeConformance
from specs.digest import digest
from specs.model import AppSpec


@pytest.fixture
def lodgers(home: Path) -> Lodgers:
    return Lodgers(home)


@pytest.fixture
def runtime(lodgers: Lodgers) -> ProcessRuntime:
    return ProcessRuntime(lodgers.context())


def test_two_guests_with_equally_named_modules_share_one_process(runtime: ProcessRuntime, lodgers: Lodgers) -> None:
    one = runtime.deploy(lodgers.spec("one", "1.0", env={"SECRET": "a"}))
    two = runtime.deploy(lodgers.spec("two", "2.0", env={"SECRET": "b"}))
    told = [lodgers.get("one"), lodgers.get("two")]
    assert [(it["app"], it["code"], it["version"], it["secret"]) for it in told] == [
        ("one", "1.0", "1.0", "a"),
        ("two", "2.0", "2.0", "b"),
    ]
    assert told[0]["pid"] == told[1]["pid"]
    assert (one.isolation, one.status, one.health) == ("embedded", "running", "healthy")
    assert two.digest == str(digest(lodgers.spec("two", "2.0", env={"SECRET": "b"})))


class TestEmbedded(RuntimeConformance):
    """What every runtime promises, by guests."""

    lodgers: Lodgers

    def make_runtime(self, home: Path) -> ProcessRuntime:
        """The process runtime, given releases that can be guests."""
        if getattr(self, "_home", None) != home:
            self._home, self.lodgers = home, Lodgers(home)
        return ProcessRuntime(self.lodgers.context())

    def make_spec(self, version: str, **changes: Any) -> AppSpec:
        """A guest that answers."""
        name = changes.pop("name", "app")
        port = self.lodgers.ports.setdefault("renamed" if name == "app" else name, free_port())
        self.lodgers.ports[name] = port
        return self.lodgers.spec(name, version, **changes)

    def make_failing_spec(self, version: str, **changes: Any) -> AppSpec:
        """A guest whose module raises."""
        spec = self.make_spec(version, **changes)
        self.lodgers.modules[spec.name, version] = {"web": "raise RuntimeError('no such table')\n"}
        return spec

    def end(self, runtime: Any, home: Path) -> None:
        """End everything by id."""
        try:
            Supervisor(home).shutdown()
        finally:
            strays.end(strays.find(home), grace=0)
