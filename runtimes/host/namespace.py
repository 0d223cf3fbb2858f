"""The module namespace of one guest: its own modules under a name of its own, whatever its neighbours' are called.

A guest's module `shop.web` is `_celeriac_guests.shop_3.shop.web` in `sys.modules`, and that is its `__name__`, so that
all that looks a module up by the name which a class or function bears (pickle, dataclasses, typing, resources) finds
the right one. What the guest's code itself calls `shop.web` is that module: each of its modules has builtins of its
own, whose `__import__` knows the namespace. So it depends on where code was written, never on the thread that runs it.

Through the same door the guest's code gets an `os` whose `environ` is the guest's: no neighbour and no shared library
sees what is in it.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from .codefolder import CodeFolder, canonical, own_files, site_packages

ROOT = "_celeriac_guests"
_import = builtins.__import__
_import_module = importlib.import_module
_find_spec = importlib.util.find_spec
_spaces: dict[str, Namespace] = {}
_lock = threading.Lock()
_count = 0


class Namespace:
    """The own modules of one guest, imported through its code folder. `variables` is its environment."""

    def __init__(self, app: str, code: CodeFolder, distribution: str, variables: dict[str, str]) -> None:
        global _count
        with _lock:
            _count += 1
            self.name = f"{ROOT}.{app.replace('-', '_')}_{_count}"
        self.prefix = f"{self.name}."
        self.distribution = distribution
        self._code = code
        self._names: tuple[Path, frozenset[str]] = (Path(), frozenset())
        self._os = _os_of(variables)
        self.builtins = {**vars(builtins), "__import__": self._import}

    def open(self) -> None:
        """Have its modules found from now on."""
        package = ModuleType(self.name)
        package.__path__ = [str(self._code.path / "src"), *map(str, self._site())]
        sys.modules[self.name] = package
        _spaces[self.name] = self

    def close(self) -> None:
        """Forget its modules."""
        _spaces.pop(self.name, None)
        for name in [name for name in sys.modules if name == self.name or name.startswith(self.prefix)]:
            sys.modules.pop(name, None)

    def owns(self, name: str) -> bool:
        """Whether the guest itself brings what `import name` asks for."""
        release = self._code.release
        if self._names[0] != release:
            self._names = (release, own_names(release, self.distribution))
        return name.partition(".")[0] in self._names[1]

    def distributions(self, name: str) -> Iterator[Any]:
        """The metadata of the guest's own distribution, if that is what `name` means."""
        from importlib.metadata import DistributionFinder, MetadataPathFinder

        if self.distribution and canonical(name) == canonical(self.distribution):
            context = DistributionFinder.Context(name=name, path=list(map(str, self._site())))
            yield from MetadataPathFinder.find_distributions(context)

    def _site(self) -> list[Path]:
        site = site_packages(self._code.release)
        return [self._code.path / site.relative_to(self._code.release)] if site is not None else []

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """`__import__` of the guest's modules."""
        if level:
            return _import(name, globals, locals, fromlist or (), level)
        if name == "os" or (name.startswith("os.") and not fromlist):
            return self._os
        if not self.owns(name):
            return _import(name, globals, locals, fromlist or (), 0)
        found = _import(f"{self.prefix}{name}", None, None, fromlist or ("__name__",), 0)
        return found if fromlist else sys.modules[f"{self.prefix}{name.partition('.')[0]}"]


def own_names(release: Path, distribution: str) -> frozenset[str]:
    """The outermost names that can be imported of what a release brings itself."""
    site = site_packages(release)
    bases = ("src", *([str(site.relative_to(release))] if site is not None else []))
    found = set()
    for file in own_files(release, distribution):
        for base in bases:
            if file.startswith(f"{base}{os.sep}"):
                first, rest, _ = file[len(base) + 1 :].partition(os.sep)
                if rest or first.endswith((".py", ".so")):
                    found.add(first.partition(".")[0])
    return frozenset(found)


def install() -> None:
    """Have namespaces found by this process. Once, before anything is imported that is not the host's own."""
    root = ModuleType(ROOT)
    root.__path__ = []
    sys.modules[ROOT] = root
    sys.meta_path.insert(0, _Finder())
    importlib.import_module = _import_module_for
    importlib.util.find_spec = _find_spec_for


def calling() -> Namespace | None:
    """The namespace whose code is nearest among those who called; None when no guest did."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        space = space_of(frame.f_globals.get("__name__"))
        if space is not None:
            return space
        frame = frame.f_back
    return None


def space_of(module: object) -> Namespace | None:
    """The namespace that the module of that name is in."""
    if not isinstance(module, str) or not module.startswith(f"{ROOT}."):
        return None
    return _spaces.get(".".join(module.split(".", 2)[:2]))


def _named(name: str) -> str:
    """What whoever calls means by the absolute `name`."""
    space = calling()
    return f"{space.prefix}{name}" if space is not None and space.owns(name) else name


def _import_module_for(name: str, package: str | None = None) -> ModuleType:
    return _import_module(name if name.startswith(".") else _named(name), package)


def _find_spec_for(name: str, package: str | None = None) -> ModuleSpec | None:
    return _find_spec(name if name.startswith(".") else _named(name), package)


class _Finder:
    """Finds the modules of all guests, and for a guest's code the metadata of its own distribution."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """As the import system asks."""
        space = space_of(name)
        if space is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec

    def find_distributions(self, context: Any = None) -> Iterator[Any]:
        """As importlib.metadata asks."""
        space = calling()
        name = getattr(context, "name", None)
        return space.distributions(name) if space is not None and name else iter(())


class _Loader(SourceFileLoader):
    """Loads a guest's module, with the builtins of its namespace."""

    def exec_module(self, module: ModuleType) -> None:
        """As for any module."""
        space = space_of(module.__name__)
        if space is not None:
            vars(module)["__builtins__"] = space.builtins
        super().exec_module(module)


def _os_of(variables: dict[str, str]) -> ModuleType:
    """The module `os` as a guest sees it."""
    view = ModuleType("os", os.__doc__)
    vars(view).update(vars(os))
    for name in ("environb", "getenvb"):
        vars(view).pop(name, None)

    def getenv(key: str, default: str | None = None) -> str | None:
        return variables.get(key, default)

    def chdir(path: object) -> None:
        raise RuntimeError("a guest cannot change the working folder, which is its neighbours' too: use $CELERIAC_DATA")

    functions: dict[str, Callable[..., Any]] = {
        "getenv": getenv,
        "putenv": variables.__setitem__,
        "unsetenv": lambda key: variables.pop(key, None),
        "chdir": chdir,
        "fchdir": chdir,
    }
    vars(view).update(functions, environ=variables)
    return view
