"""A name in a setting becomes a runtime, or a sentence that says why not."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from celeriac.errors import CeleriacError
from runtimes.base import RuntimeContext, RuntimeFailure
from runtimes.noop import NoopRuntime
from runtimes.process import ProcessRuntime
from runtimes.registry import BUILT_IN, GROUP, for_spec, load_runtime
from runtimes.supervisor_conf import SupervisorConfigError
from specs.model import AppSpec

OWN = """
from runtimes.noop import NoopRuntime

class Own(NoopRuntime):
    pass

class Half:
    def __init__(self, context): pass
    def deploy(self, spec): pass
    def remove(self, name): pass

class Picky:
    def __init__(self, context, password): pass

class Leaky:
    def __init__(self, context):
        raise ValueError("redis://:hunter2@db")

class Small(NoopRuntime):
    isolations = frozenset({"process"})

class Outer:
    Inner = Own

number = 7
"""


@pytest.fixture
def context(tmp_path: Path) -> RuntimeContext:
    return RuntimeContext(home=tmp_path / "home", node="node-1")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    (tmp_path / f"{name}_broken.py").write_text("import there_is_no_such_module")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_the_built_in_ones_are_found_by_name(context: RuntimeContext) -> None:
    assert type(load_runtime("noop", context)) is NoopRuntime
    assert type(load_runtime("process", context)) is ProcessRuntime


def test_what_the_package_declares_is_what_is_built_in() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["entry-points"][GROUP] == BUILT_IN


def test_a_class_of_ones_own_is_found_by_its_path(context: RuntimeContext, own: str) -> None:
    assert type(load_runtime(f"{own}:Own", context)).__name__ == "Own"
    assert type(load_runtime(f"{own}:Outer.Inner", context)).__name__ == "Own"


def test_an_installed_package_may_declare_one(context: RuntimeContext, own: str, tmp_path: Path) -> None:
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nmine = {own}:Own\nnoop = {own}:Half\n")
    assert type(load_runtime("mine", context)).__name__ == "Own"
    assert type(load_runtime("noop", context)) is NoopRuntime
    with pytest.raises(CeleriacError) as caught:
        load_runtime("mime", context)
    assert "mine, noop, process" in caught.value.hint


@pytest.mark.parametrize("name", ["", "docker", "no/such:Thing", "module:", ":Class", "a..b:C"])
def test_an_unknown_name_is_answered_with_the_known_ones(context: RuntimeContext, name: str) -> None:
    with pytest.raises(CeleriacError) as caught:
        load_runtime(name, context)
    assert caught.value.reason == "RuntimeUnknown"
    assert "noop, process" in caught.value.hint


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("there_is_no_such_package:Own", "No module named 'there_is_no_such_package'"),
        ("{own}_broken:Own", "No module named 'there_is_no_such_module'"),
        ("{own}:Gone", "has no attribute 'Gone'"),
        ("{own}:number", "is not a class"),
        ("{own}:Half", "it has no upgrade, reconfigure, current_state"),
        ("{own}:Picky", "missing 1 required positional argument: 'password'"),
        ("{own}:Leaky", "ValueError"),
    ],
)
def test_one_that_cannot_be_used_says_why(context: RuntimeContext, own: str, target: str, said: str) -> None:
    with pytest.raises(CeleriacError) as caught:
        load_runtime(target.format(own=own), context)
    assert caught.value.reason == "RuntimeBroken"
    assert said in caught.value.message
    assert caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_what_a_runtime_says_of_its_home_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(SupervisorConfigError):
        load_runtime("process", RuntimeContext(home=tmp_path / "[home]", node="node-1"))


def test_an_app_runs_only_where_its_isolation_is_hosted(context: RuntimeContext, own: str) -> None:
    plain, guest = AppSpec("web", "1.0.0"), AppSpec("web", "1.0.0", isolation="embedded")
    assert type(for_spec(plain, "process", context)) is ProcessRuntime
    assert type(for_spec(guest, "noop", context)) is NoopRuntime
    assert type(for_spec(guest, "process", context)) is ProcessRuntime
    with pytest.raises(RuntimeFailure, match="runtime does not host embedded apps") as caught:
        for_spec(guest, f"{own}:Small", context)
    assert caught.value.reason == "IsolationUnavailable"


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    program = "import sys, runtimes.registry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "runtimes.registry" in imported
    assert not imported & {"runtimes.process", "runtimes.noop", "psutil", "xmlrpc", "importlib.metadata"}
