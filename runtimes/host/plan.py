"""What a reload will do, found while requests are served: a comparison of what is loaded with both releases.

Changes nothing but the new release's compiled files. `runtimes.host.reloader` carries it out.
"""

from __future__ import annotations

import ast
import py_compile
import sys
import types
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from .codefolder import EXTENSIONS, CodeFolder, file_hash, metadata, own_files
from .importgraph import dependents, import_order, imports_of, reached

_TELL_VERSIONS = frozenset({"importlib.metadata", "importlib_metadata", "pkg_resources"})


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


def make_plan(code: CodeFolder, release: Path, distribution: str, begin: str, prefix: str = "") -> Plan:
    """Compare what is loaded with `release`. `begin` is the module of the app's callable, `prefix` that of its modules.

    It is made anew as well when files that are no code changed: what it keeps of them, such as templates, is let go. So
    is a module that may have asked for the version of its distribution, when that is another one.

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
    if _version(code.release, distribution) != _version(release, distribution):
        anew += [name for name, (module, file) in loaded.items() if _asks_version(code.release / file, name, module)]
    if not changed and not gone and not anew:
        return Plan(release)
    held = {name: _held(name, module, loaded) for name, (module, _) in loaded.items()}
    graph, leads_to = {}, {}
    for name, (module, file) in loaded.items():
        at_once, ever = _imports(code.release / file, name, module, loaded, prefix)
        graph[name], leads_to[name] = at_once | held[name], ever | held[name]
    unreached = {*changed, *gone} - reached(leads_to, begin)
    concerned = dependents(graph, [*changed, *gone, *anew]) - set(gone)
    after = {name: _imports(release / loaded[name][1], name, loaded[name][0], loaded, prefix)[0] for name in concerned}
    for name in concerned:
        _compile(release / loaded[name][1])
    order = import_order(after, concerned)
    place = {name: number for number, name in enumerate(order)}
    late = {name for importer in order for name in after[importer] if place.get(name, -1) > place[importer]}
    return Plan(release, tuple(sorted(changed)), order, tuple(sorted(gone)), frozenset(late), tuple(sorted(unreached)))


def _imports(
    path: Path, name: str, module: ModuleType, known: Collection[str], prefix: str = ""
) -> tuple[frozenset[str], frozenset[str]]:
    """What the module imports when its body runs, and what it or its functions ever do."""
    try:
        tree = ast.parse(path.read_bytes())
    except OSError:
        return frozenset(), frozenset()
    package = hasattr(module, "__path__")
    return (
        imports_of(tree, name, package, known, prefix=prefix),
        imports_of(tree, name, package, known, later=True, prefix=prefix),
    )


def _held(name: str, module: ModuleType, known: Collection[str]) -> frozenset[str]:
    """The modules that `module` got hold of in ways that no import statement tells: what its globals really are."""
    found = set()
    for variable, value in list(vars(module).items()):
        if isinstance(value, ModuleType):
            if value.__name__ != f"{name}.{variable}":  # a package leads to its modules; that is no import
                found.add(value.__name__)
        elif isinstance(value, type | types.FunctionType):
            found.add(value.__module__)
    return frozenset(found.intersection(known)) - {name}


def _version(release: Path, distribution: str) -> str:
    info = metadata(release, distribution)
    return info.name if info is not None else ""


def _asks_version(path: Path, name: str, module: ModuleType) -> bool:
    """Whether the module imports what tells the version of a distribution."""
    return bool(_imports(path, name, module, _TELL_VERSIONS)[0])


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
