"""What a guest brings itself, and the `os` that it sees. Guests at work are in `tests/runtimes/embedded`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from runtimes.host.codefolder import CodeFolder
from runtimes.host.namespace import Namespace, calling, own_names, space_of


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release with a package, a module, an extension and files that are no code."""
    made = tmp_path / "1"
    for name in ("shop/web.py", "single.py", "fast.cpython-311-x86_64-linux-gnu.so", "README.md", "other/data.txt"):
        (made / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (made / "src" / name).touch()
    return made


def test_own_names_are_packages_modules_and_extensions(release: Path) -> None:
    assert own_names(release, "") == {"shop", "single", "fast", "other"}
    assert own_names(release / "nowhere", "shop") == frozenset()


def test_what_a_guest_owns_follows_its_release(release: Path, tmp_path: Path) -> None:
    code = CodeFolder(tmp_path / "main.code", release)
    space = Namespace("my-shop", code, "", {})
    assert space.owns("shop.web.deep")
    assert not space.owns("shopping")
    assert not space.owns("new")
    (tmp_path / "2" / "src" / "new").mkdir(parents=True)
    (tmp_path / "2" / "src" / "new" / "mod.py").touch()
    code.point(tmp_path / "2")
    assert (space.owns("new"), space.owns("shop")) == (True, False)


def test_two_guests_of_one_app_have_names_of_their_own_that_python_takes(release: Path, tmp_path: Path) -> None:
    code = CodeFolder(tmp_path / "main.code", release)
    first, second = Namespace("my-shop", code, "", {}), Namespace("my-shop", code, "", {})
    assert first.name != second.name
    assert all(part.isidentifier() for part in first.name.split("."))


@pytest.fixture
def view(release: Path, tmp_path: Path) -> Any:
    """`os`, as the code of a guest gets it."""
    space = Namespace("shop", CodeFolder(tmp_path / "main.code", release), "", {"MINE": "1"})
    return space._import("os")


def test_the_environment_that_a_guest_sees_and_sets_is_its_own(view: Any) -> None:
    assert (view.environ, view.getenv("MINE"), view.getenv("PATH", "none")) == ({"MINE": "1"}, "1", "none")
    view.environ["MORE"] = "2"
    view.putenv("EVEN", "3")
    view.unsetenv("MINE")
    view.unsetenv("NEVER")
    assert view.environ == {"MORE": "2", "EVEN": "3"}
    assert not {"MORE", "EVEN"} & os.environ.keys()
    assert not hasattr(view, "environb")


def test_the_rest_of_os_is_that_of_everybody(view: Any) -> None:
    assert (view.getpid(), view.path.join("a", "b"), view.path) == (os.getpid(), "a/b", os.path)
    for change in (view.chdir, view.fchdir):
        with pytest.raises(RuntimeError, match=r"use \$CELERIAC_DATA"):
            change("/")


def test_forms_of_importing_os_agree(release: Path, tmp_path: Path) -> None:
    space = Namespace("shop", CodeFolder(tmp_path / "main.code", release), "", {"MINE": "1"})
    scope: dict[str, Any] = {"__builtins__": space.builtins, "__name__": "anything"}
    exec(
        "import os, os.path as p, json\nfrom os import environ, getenv\nfrom os.path import join\n"
        "found = [os.environ is environ, getenv('MINE'), p is os.path, join('a', 'b'), json.dumps(1)]\n",
        scope,
    )
    assert scope["found"] == [True, "1", True, "a/b", "1"]


def test_code_that_is_nobodys_has_no_namespace() -> None:
    assert calling() is None
    assert [space_of(name) for name in ("os", None, 7, "_celeriac_guests", "_celeriac_guests.gone_1.shop")] == [
        None
    ] * 5
