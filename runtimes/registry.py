"""Finds the runtime that a setting names, and makes it: the one door between a name in a file and code that runs apps.

Names are those built in, those that installed packages declare in the entry point group `celeriac.runtimes`, and
`package.module:Class`. The built-in ones are found without looking at what is installed: that is quick, works in a
checkout that is not installed, and no other package can put itself in their place. Nothing is imported before it
is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from celeriac.errors import CeleriacError, SettingsError
from runtimes.base import Runtime, RuntimeContext
from runtimes.isolation import DEFAULT, refuse_isolation
from specs.model import AppSpec

GROUP = "celeriac.runtimes"
BUILT_IN = {"noop": "runtimes.noop:NoopRuntime", "process": "runtimes.process:ProcessRuntime"}
_METHODS = ("deploy", "upgrade", "reconfigure", "remove", "current_state")
_TARGET = re.compile(r"(?:[^\W\d]\w*\.)*[^\W\d]\w*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


class RuntimeChoiceError(SettingsError):
    """The setting `runtime` names nothing that runs apps: RuntimeUnknown, or RuntimeBroken where it cannot be used."""

    reason = "RuntimeBroken"


def load_runtime(name: str, context: RuntimeContext) -> Runtime:
    """The runtime that `name` means, made for `context`.

    Raises RuntimeChoiceError, reason RuntimeUnknown or RuntimeBroken; what a runtime itself says of the context (a
    CeleriacError) is passed on.
    """
    target, make = find_runtime(name)
    runtime = _make(name, target, make, context)
    if not isinstance(runtime, Runtime):
        missing = [method for method in _METHODS if not hasattr(runtime, method)]
        raise RuntimeChoiceError(
            f"runtime {name!r}: {target} is not a Runtime, it has no {', '.join(missing)}",
            hint="runtimes.base.Runtime says what it must have; runtimes.testing tries it",
        )
    return runtime


def find_runtime(name: str) -> tuple[str, Callable[[RuntimeContext], Any]]:
    """Where the runtime `name` is, as `package.module:Class`, and what makes it; nothing is made.

    Raises RuntimeChoiceError as `load_runtime` does.
    """
    target = _target(name)
    make = _import(name, target)
    if not callable(make):
        raise RuntimeChoiceError(
            f"runtime {name!r}: {target} is not a class", hint="name a class that takes a RuntimeContext"
        )
    return target, make


def for_spec(spec: AppSpec, settings_runtime: str, context: RuntimeContext) -> Runtime:
    """The runtime for the app of `spec`: the one of the setting, if it hosts apps of that isolation.

    Raises RuntimeFailure (reason IsolationUnavailable) when it does not, RuntimeChoiceError as `load_runtime` does.
    """
    runtime = load_runtime(settings_runtime, context)
    refuse_isolation(spec, getattr(runtime, "isolations", DEFAULT), settings_runtime)
    return runtime


def _target(name: str) -> str:
    """Where the runtime `name` is, as `package.module:Class`."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    if _TARGET.fullmatch(name):
        return name
    declared = _declared()
    if name in declared:
        return declared[name]
    known = ", ".join(sorted({*BUILT_IN, *declared}))
    raise RuntimeChoiceError(
        f"there is no runtime {name!r}",
        reason="RuntimeUnknown",
        hint=f"set CELERIAC_RUNTIME to one of {known}, or to package.module:Class",
    )


def _declared() -> dict[str, str]:
    """What installed packages offer."""
    from importlib.metadata import entry_points  # costs more than all the rest of this module

    return {point.name: f"{point.module}:{point.attr}" for point in entry_points(group=GROUP)}


def _import(name: str, target: str) -> Any:
    module_name, _, path = target.partition(":")
    try:
        found: Any = import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise RuntimeChoiceError(
            f"runtime {name!r} cannot be imported from {target}: {type(error).__name__}: {error}",
            hint="is its package installed where Celeriac is, and CELERIAC_RUNTIME spelled right?",
        ) from error
    return found


def _make(name: str, target: str, make: Callable[[RuntimeContext], Any], context: RuntimeContext) -> Any:
    try:
        return make(context)
    except CeleriacError:
        raise
    except Exception as error:
        # A TypeError is about our call; what else it says may hold an address with a password in it.
        what = f"TypeError: {error}" if isinstance(error, TypeError) else type(error).__name__
        raise RuntimeChoiceError(
            f"runtime {name!r} cannot be made: {target}: {what}", hint=f"{target} is called with one RuntimeContext"
        ) from error
