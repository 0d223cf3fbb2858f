"""What `run.app` names, and whether that is ASGI or WSGI, for callables of every kind that frameworks make."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import pytest

from runtimes.host.target import kind_of, lookup


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with things in it."""
    text = "class Site:\n    def wsgi(self, environ, start_response): ...\nsite = Site()\nnumber = 7\n"
    (tmp_path / "some_site.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some_site", raising=False)
    return "some_site"


def test_a_name_may_lead_through_attributes(module: str) -> None:
    assert kind_of(lookup(f"{module}:site.wsgi")) == "wsgi"


@pytest.mark.parametrize(("path", "error"), [("number", TypeError), ("nothing", AttributeError), ("", AttributeError)])
def test_what_is_not_there_or_cannot_be_called_is_an_error(module: str, path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        lookup(f"{module}:{path}")


def test_what_the_module_raises_is_raised(tmp_path: Path, module: str) -> None:
    (tmp_path / "broken_site.py").write_text("raise KeyError('DB')\n")
    with pytest.raises(KeyError, match="DB"):
        lookup("broken_site:app")
    with pytest.raises(ModuleNotFoundError):
        lookup("no_such_site:app")


async def bare(scope: Any, receive: Any, send: Any) -> None: ...
def returning(scope: Any, receive: Any, send: Any) -> Any: ...
def wsgi(environ: Any, start_response: Any) -> Any: ...


class Asgi:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...
    async def method(self, scope: Any, receive: Any, send: Any) -> None: ...
    @staticmethod
    async def static(scope: Any, receive: Any, send: Any) -> None: ...


class Wsgi:
    """One that is called itself for each request, as PEP 3333 has it among its examples."""

    def __init__(self, environ: Any, start_response: Any) -> None: ...
    def __iter__(self) -> Any: ...
    @classmethod
    def made(cls, environ: Any, start_response: Any) -> Any: ...


def wrapped(app: Any) -> Any:
    """As decorators do."""

    @functools.wraps(app)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        return app(*arguments, **named)

    return wrapper


def bound(first: Any, scope: Any, receive: Any, send: Any) -> Any: ...
def configured(environ: Any, start_response: Any, debug: bool = False) -> Any: ...


@pytest.mark.parametrize(
    "app",
    [
        bare, returning, Asgi(), Asgi().method, Asgi.static, wrapped(bare), wrapped(wrapped(returning)),
        functools.partial(bare), functools.partial(functools.partial(Asgi())), functools.partial(bound, 1),
        lambda scope, receive, send: None,
    ],
)  # fmt: skip
def test_asgi_is_known(app: Any) -> None:
    assert kind_of(app) == "asgi"


@pytest.mark.parametrize(
    "app",
    [
        wsgi, Wsgi, Wsgi.made, wrapped(wsgi), functools.partial(configured, debug=True), configured,
        lambda *arguments: [], lambda environ, start_response, *, extra=None: [], dict,
    ],
)  # fmt: skip
def test_all_else_is_wsgi(app: Any) -> None:
    assert kind_of(app) == "wsgi"
