"""The callable of a hosted app: what `run.app` names, and what it is."""

from __future__ import annotations

import importlib
import inspect
from typing import Any


def lookup(target: str) -> Any:
    """The callable that `module:name` or `module:name.name` means, imported."""
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{target} is not callable")
    return found


def kind_of(app: Any) -> str:
    """`asgi` or `wsgi`: an ASGI app is a coroutine function, or takes three arguments."""
    function = app
    while hasattr(function, "func") and hasattr(function, "keywords"):  # functools.partial
        function = function.func
    call = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    if inspect.iscoroutinefunction(call):
        return "asgi"
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return "wsgi"
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return "asgi" if len([one for one in positional if one.default is one.empty]) == 3 else "wsgi"
