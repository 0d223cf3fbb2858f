"""Puts new code under a running app: all of it, or nothing.

`Reload` carries a plan (`runtimes.host.plan`) out while nobody is inside: the link is pointed to the new release, what
is concerned leaves `sys.modules`, and is imported again as new module objects, in import order. Until `commit`, `undo`
puts the old module objects back: nothing of theirs was touched.

The old module is at hand as `__previous__` in the new one while it is imported and while `code_change` runs.
"""

from __future__ import annotations

import contextlib
import importlib
import linecache
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .codefolder import CodeFolder
from .instances import Moved, renewed
from .plan import Plan

PREVIOUS = "__previous__"


class Reload:
    """One plan, carried out."""

    def __init__(self, plan: Plan, code: CodeFolder) -> None:
        self.plan = plan
        self._code = code
        self._release = code.release
        self._before: dict[str, ModuleType] = {}
        self._old: dict[str, ModuleType] = {}
        self._attributes: list[tuple[ModuleType, str, Any]] = []
        self.moved = Moved()

    def load(self) -> None:
        """Import what the plan names, from its release. Whatever is raised, `undo` must follow."""
        self._before = dict(sys.modules)
        for name in (*self.plan.order, *self.plan.gone):
            self._old[name] = sys.modules[name]
        for name, module in self._old.items():
            parent_name, _, child = name.rpartition(".")
            parent = self._before.get(parent_name)
            if parent is not None and vars(parent).get(child) is module:
                self._attributes.append((parent, child, module))
        self._code.point(self.plan.release)
        _forget_files()
        for name, module in self._old.items():
            del sys.modules[name]
            if name in self.plan.late or name in self.plan.gone:
                self._detach(name, module)
        finder = _Finder(self._old)
        sys.meta_path.insert(0, finder)
        try:
            for name in self.plan.order:
                self._attach_children(name, importlib.import_module(name))
        finally:
            sys.meta_path.remove(finder)
        self._rebind()
        pairs: dict[type, type] = {}
        for module in self.modules():
            pairs.update(renewed(self._old[module.__name__], module))
        self.moved.move(pairs)

    def modules(self) -> list[ModuleType]:
        """The new modules, in the order in which they were imported."""
        found = ((name, sys.modules.get(name)) for name in (*self.plan.order, *self.plan.gone))
        return [module for name, module in found if isinstance(module, ModuleType) and module is not self._old[name]]

    def purged(self) -> list[str]:
        """The modules that are there no more."""
        return [name for name in self.plan.gone if name not in sys.modules]

    def commit(self) -> None:
        """It stays. The old modules are let go."""
        for module in self.modules():
            vars(module).pop(PREVIOUS, None)

    def undo(self) -> None:
        """Put everything back as it was before `load`."""
        self.moved.undo()
        for name, module in list(sys.modules.items()):
            if name in self._old:
                sys.modules[name] = self._old[name]
            elif name not in self._before and self._is_ours(module):
                del sys.modules[name]
                parent, _, child = name.rpartition(".")
                if vars(sys.modules.get(parent, module)).get(child) is module:
                    delattr(sys.modules[parent], child)
        sys.modules.update(self._old)
        for parent_module, child, value in self._attributes:
            setattr(parent_module, child, value)
        self._code.point(self._release)
        _forget_files()

    def _is_ours(self, module: ModuleType) -> bool:
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        return str(origin).startswith(f"{self._code.path}{os.sep}")

    def _detach(self, name: str, module: ModuleType) -> None:
        """Have the package around a module no longer lead to the old one, which `from package import` would find.

        Where that is not needed it is left until it is replaced: a thread may be using it.
        """
        parent_name, _, child = name.rpartition(".")
        parent = sys.modules.get(parent_name)
        if parent is not None and parent_name not in self._old and vars(parent).get(child) is module:
            delattr(parent, child)

    def _rebind(self) -> None:
        """Where a new module got hold of an old one all the same, by ways that no import told, give it the new one."""
        renewed_as = {id(self._old[module.__name__]): module for module in self.modules()}
        for module in self.modules():
            for variable, value in list(vars(module).items()):
                if variable != PREVIOUS and id(value) in renewed_as:
                    vars(module)[variable] = renewed_as[id(value)]

    def _attach_children(self, name: str, module: ModuleType) -> None:
        """Have a package that was imported again lead to those of its modules that were not."""
        old = self._old[name]
        for full, child in list(sys.modules.items()):
            parent, _, short = full.rpartition(".")
            if parent == name and full not in self._old and vars(old).get(short) is child:
                vars(module).setdefault(short, child)


class _Finder:
    """Finds what is imported again where it always is, and gives it its predecessor before its body runs."""

    def __init__(self, old: Mapping[str, ModuleType]) -> None:
        self._old = old

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """As the import system asks."""
        if name not in self._old:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if finder is not self else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self._old[name])
                return spec
        return None


class _Loader(Loader):
    """Loads as `loader` does, after setting `__previous__`."""

    def __init__(self, loader: Any, old: ModuleType) -> None:
        self._loader = loader
        self._old = old

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the real one."""
        spec.loader = self._loader
        created: ModuleType | None = self._loader.create_module(spec)
        spec.loader = self
        return created

    def exec_module(self, module: ModuleType) -> None:
        """As the real one."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        vars(module)[PREVIOUS] = self._old
        self._loader.exec_module(module)


def _forget_files() -> None:
    importlib.invalidate_caches()
    with contextlib.suppress(Exception):
        linecache.clearcache()
