"""The functions of an app that are told of changes: `code_change` in every module that was reloaded, `config_change` in
the module of its callable. Either may be `async`. What they raise ends the change, and everything is put back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any


def code_changes(modules: Iterable[ModuleType]) -> list[Callable[..., Any]]:
    """The hooks of `modules`, in their order; one that was only imported from another module is that one's."""
    found = ((module.__name__, vars(module).get("code_change")) for module in modules)
    return [hook for name, hook in found if callable(hook) and getattr(hook, "__module__", name) == name]


def config_change(module: ModuleType) -> Callable[..., Any] | None:
    """The hook of `module`; None when it has none."""
    hook = vars(module).get("config_change")
    return hook if callable(hook) else None


async def call_code_changes(hooks: Iterable[Callable[..., Any]], old_version: str, new_version: str) -> None:
    """Call each with the two versions."""
    for hook in hooks:
        await _call(hook, old_version, new_version)


async def call_config_change(
    hook: Callable[..., Any], changed: Mapping[str, str], new: Mapping[str, str], removed: Iterable[str]
) -> None:
    """Call it with what changed and what is new, by name, and the names of what was removed."""
    await _call(hook, dict(changed), dict(new), sorted(removed))


async def _call(hook: Callable[..., Any], *arguments: Any) -> None:
    result = hook(*arguments)
    if inspect.isawaitable(result):
        await result
