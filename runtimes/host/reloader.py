"""Puts new code under a running app: all of it, or nothing.

`make_plan` looks at what is loaded and at both releases, and changes nothing; it may take its time while requests are
served. `Reload` carries a plan out while nobody is inside: the link is pointed to the new release, what is concerned
leaves `sys.modules`, and is imported again as new module objects, in import order. Until `commit`, `undo` puts the old
module objects back: nothing of theirs was touched.

The old module is at hand as `__previous__` in the new one while it is imported and while `code_change` runs.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import linecache
import os
import py_compile
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from .codefolder import EXTENSIONS, CodeFolder, file_hash, own_files
from .importgraph import dependents, import_order, imports_of, reached
from .instances import Moved, renewed

PREVIOUS = "__previous__"


@dataclass(frozen=True)
class Plan:
    """What a reload will do: `changed` modules, all `order` to be imported again, and those that are `gone`.

    `late` are those of `order` that come after one that imports them: they import each other. `unreached` are those of
    `changed` and `gone` that the app's callable does not lead to by imports: whoever uses them got them by name, may
    have kept what it got, and is not found.
    """

    release: Path
    changed: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    late: frozenset[str] = frozenset()
    unreached: tuple[str, ...] = ()


def make_plan(code: CodeFolder, release: Path, distribution: str, begin: str) -> Plan:
    """Compare what is loaded with `release`. `begin` is the module of the app's callable.

    It is made anew as well when files that are no code changed: what it keeps of them, such as templates, is let go.
    Raises SyntaxError for a module that will not compile.
    """
    own = own_files(code.release, distribution) | own_files(release, distribution)
    loaded = {
        name: (module, file)
        for name, module in list(sys.modules.items())
        if isinstance(module, ModuleType) and (file := code.relative(module)) in own
    }
    changed, gone = [], []
    for name, (_, file) in loaded.items():
        new = file_hash(release / file)
        if not new:
            gone.append(name)
        elif new != file_hash(code.release / file):
            changed.append(name)
    anew = [begin] if begin in loaded and _data_changed(code.release, release, own) else []
    if not changed and not gone and not anew:
        return Plan(release)
    held = {name: _held(name, module, loaded) for name, (module, _) in loaded.items()}
    graph, leads_to = {}, {}
    for name, (module, file) in loaded.items():
        at_once, ever = _imports(code.release / file, name, module, loaded)
        graph[name], leads_to[name] = at_once | held[name], ever | held[name]
    unreached = {*changed, *gone} - reached(leads_to, begin)
    concerned = dependents(graph, [*changed, *gone, *anew]) - set(gone)
    after = {name: _imports(release / loaded[name][1], name, loaded[name][0], loaded)[0] for name in concerned}
    for name in concerned:
        _compile(release / loaded[name][1])
    order = import_order(after, concerned)
    place = {name: number for number, name in enumerate(order)}
    late = {name for importer in order for name in after[importer] if place.get(name, -1) > place[importer]}
    return Plan(release, tuple(sorted(changed)), order, tuple(sorted(gone)), frozenset(late), tuple(sorted(unreached)))


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


def _imports(
    path: Path, name: str, module: ModuleType, known: Mapping[str, Any]
) -> tuple[frozenset[str], frozenset[str]]:
    """What the module imports when its body runs, and what it or its functions ever do."""
    try:
        tree = ast.parse(path.read_bytes())
    except OSError:
        return frozenset(), frozenset()
    package = hasattr(module, "__path__")
    return imports_of(tree, name, package, known), imports_of(tree, name, package, known, later=True)


def _held(name: str, module: ModuleType, known: Mapping[str, Any]) -> frozenset[str]:
    """The modules that `module` got hold of in ways that no import statement tells: what its globals really are."""
    found = set()
    for variable, value in list(vars(module).items()):
        if isinstance(value, ModuleType):
            if value.__name__ != f"{name}.{variable}":  # a package leads to its modules; that is no import
                found.add(value.__name__)
        elif isinstance(value, type | types.FunctionType):
            found.add(value.__module__)
    return frozenset(found & known.keys()) - {name}


def _data_changed(old: Path, new: Path, own: Iterable[str]) -> bool:
    """Whether a file of the app that is no code is another one now, or gone."""
    for file in own:
        before = old / file
        if file.endswith((".py", ".pyi", *EXTENSIONS)) or not before.is_file():
            continue
        after = new / file
        if not after.is_file() or before.stat().st_size != after.stat().st_size:
            return True
        if not before.samefile(after) and file_hash(before) != file_hash(after):
            return True
    return False


def _compile(path: Path) -> None:
    """Compile ahead, so that it is not done while requests wait; a folder that cannot be written is fine."""
    try:
        py_compile.compile(str(path), doraise=True, quiet=2)
    except py_compile.PyCompileError as error:
        raise error.exc_value from None
    except OSError:
        return


def _forget_files() -> None:
    importlib.invalidate_caches()
    with contextlib.suppress(Exception):
        linecache.clearcache()
