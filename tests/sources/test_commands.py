"""What an app's processes are, found without running any of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sources import NothingToRun, build, resolve_argv, resolve_processes
from specs.model import AppSpec, Run, Source


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release folder with an empty environment."""
    (tmp_path / "r/venv/bin").mkdir(parents=True)
    (tmp_path / "r/venv/lib/python3.11/site-packages").mkdir(parents=True)
    return tmp_path / "r"


def _program(release: Path, *names: str) -> None:
    for name in names:
        (release / "venv/bin" / name).touch(mode=0o755)


def _module(release: Path, name: str, where: str = "venv/lib/python3.11/site-packages") -> None:
    path = release / where / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _main(spec: AppSpec, release: Path) -> tuple[str, ...]:
    found = resolve_processes(spec, release)
    assert list(found) == ["main"]
    return tuple(word.replace(f"{release}/", "") for word in found["main"])


@pytest.mark.parametrize(
    ("app", "package", "script"),
    [
        ("shop", "", "shop"),
        ("my-shop", "", "my_shop"),
        ("my_shop", "", "my-shop"),
        ("shop", "shop-server", "shop-server"),
        ("shop", "shop-server", "shop_server"),
    ],
)
def test_by_default_the_script_named_like_the_app_or_its_package_runs(
    release: Path, app: str, package: str, script: str
) -> None:
    _program(release, script)
    assert _main(AppSpec(app, "1", source=Source(package=package)), release) == (f"venv/bin/{script}",)


def test_the_apps_own_name_comes_before_its_packages(release: Path) -> None:
    _program(release, "web", "shop")
    assert _main(AppSpec("shop", "1", source=Source(package="web")), release) == ("venv/bin/shop",)


@pytest.mark.parametrize("module", ["my_shop.py", "my_shop/__main__.py"])
@pytest.mark.parametrize("where", ["venv/lib/python3.11/site-packages", "src"])
def test_without_a_script_the_module_of_that_name_runs(release: Path, module: str, where: str) -> None:
    _module(release, module, where)
    assert _main(AppSpec("my-shop", "1"), release) == ("venv/bin/python", "-m", "my_shop")


def test_with_neither_the_failure_says_what_there_is_to_choose_from(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0", scripts=("serve", "shop-admin"))
    spec = AppSpec("web", "1.0", source=Source(package="shop"))
    with pytest.raises(NothingToRun) as caught:
        resolve_processes(spec, build(spec, home))
    assert "web" in caught.value.message
    assert caught.value.hint == "it brings the commands serve, shop-admin: set run.command, run.processes or run.app"


def test_a_package_that_cannot_be_run_is_nothing_to_run(release: Path) -> None:
    _module(release, "shop/__init__.py")
    with pytest.raises(NothingToRun, match=r"set run\.command"):
        resolve_processes(AppSpec("shop", "1"), release)


def test_programs_of_the_release_are_given_in_full_and_others_are_left_to_the_path(release: Path) -> None:
    _program(release, "celery")
    _module(release, "bin/start", "src")
    run = Run(
        processes={
            "worker": ("celery", "-A", "shop", "worker", "--port=$PORT"),
            "python": ("python", "-m", "x"),
            "python3": ("python3.11", "x.py"),
            "node": ("node", "x.js"),
            "absolute": ("/bin/true",),
            "own": ("./bin/start", "now"),
            "outside": ("../bin/start",),
        }
    )
    venv = f"{release}/venv/bin"
    assert resolve_processes(AppSpec("shop", "1", run=run), release) == {
        "worker": (f"{venv}/celery", "-A", "shop", "worker", "--port=$PORT"),
        "python": (f"{venv}/python", "-m", "x"),
        "python3": (f"{venv}/python", "x.py"),
        "node": ("node", "x.js"),
        "absolute": ("/bin/true",),
        "own": (f"{release}/src/bin/start", "now"),
        "outside": ("../bin/start",),
    }


@pytest.mark.parametrize("argv", [(), ("",)])
def test_an_empty_command_is_nothing_to_run(release: Path, argv: tuple[str, ...]) -> None:
    with pytest.raises(NothingToRun):
        resolve_argv(argv, release)


def _brings(release: Path, *distributions: str) -> None:
    for name in distributions:
        _module(release, f"{name}-1.0.dist-info/METADATA")


@pytest.mark.parametrize(
    ("brought", "expected"),
    [
        (["uvicorn", "gunicorn", "h11"], "uvicorn,gunicorn"),
        (["hypercorn", "granian"], "granian,hypercorn"),
        (["waitress"], "waitress"),
    ],
)
def test_a_hosted_app_is_run_by_the_host_which_may_choose_from_the_servers_that_it_brings(
    release: Path, brought: list[str], expected: str
) -> None:
    _brings(release, *brought)
    found = _main(AppSpec("shop", "1", run=Run(app="a:app")), release)
    assert found == ("venv/bin/python", "-P", "$CELERIAC_HOST_PROGRAM", "--servers", expected, "a:app")


def test_without_a_server_the_failure_says_to_add_one(release: Path) -> None:
    with pytest.raises(NothingToRun, match="uvicorn") as caught:
        resolve_processes(AppSpec("shop", "1", run=Run(app="a:app")), release)
    assert "dependencies" in caught.value.hint


def test_a_hosted_app_may_have_other_processes_beside_it(release: Path) -> None:
    _brings(release, "uvicorn")
    run = Run(app="a:app", processes={"worker": ("python", "w.py")})
    assert list(resolve_processes(AppSpec("shop", "1", run=run), release)) == ["worker", "main"]


def test_the_default_command_of_a_built_release_runs_from_anywhere(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0")
    spec = AppSpec("shop", "1.0")
    argv = resolve_processes(spec, build(spec, home))["main"]
    done = subprocess.run(argv, cwd="/", env={}, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("hello from shop")
    assert sys.prefix not in done.stdout
