"""Which modules a change concerns, and in which order they are imported again. Pure: sources in, names out.

A module depends on another one when running its body uses it: imports in functions are made anew at each call and so
find the new module by themselves, and those under TYPE_CHECKING are never made.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence

Graph = Mapping[str, Collection[str]]


def imports_of(
    tree: ast.Module,
    module: str,
    is_package: bool,
    known: Collection[str],
    *,
    later: bool = False,
    prefix: str = "",
) -> frozenset[str]:
    """Those of the modules `known` that the body of `module` imports; with `later`, also those that functions do.

    `prefix` is what the names of known modules may have before what import statements call them.
    """
    finder = _Imports(module if is_package else module.rpartition(".")[0], known, later, prefix)
    finder.visit(tree)
    return frozenset(finder.found - {module})


def dependents(graph: Graph, changed: Iterable[str]) -> frozenset[str]:
    """`changed`, and every module of `graph` that imports one of them, directly or through others."""
    importers: dict[str, list[str]] = {}
    for module, imported in graph.items():
        for name in imported:
            importers.setdefault(name, []).append(module)
    found: set[str] = set()
    waiting = list(changed)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += importers.get(module, ())
    return frozenset(found)


def reached(graph: Graph, begin: str) -> frozenset[str]:
    """`begin`, whatever it imports, directly or through others, and the packages around all of these."""
    found: set[str] = set()
    waiting = [begin]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += [*graph.get(module, ()), *(name for name in parents(module) if name in graph)]
    return frozenset(found)


def import_order(graph: Graph, modules: Collection[str]) -> tuple[str, ...]:
    """`modules`, each after those of them that it imports, and after its package.

    In a cycle of imports the order is that of the names, as far as the rest allows.
    """
    needed = {module: sorted(_needs(graph, module, modules)) for module in modules}
    done: dict[str, None] = {}
    begun: set[str] = set()
    for first in sorted(modules):
        stack = [(first, iter(needed[first]))] if first not in begun else []
        begun.add(first)
        while stack:
            module, rest = stack[-1]
            following = next((name for name in rest if name not in begun), None)
            if following is None:
                stack.pop()
                done[module] = None
            else:
                begun.add(following)
                stack.append((following, iter(needed[following])))
    return tuple(done)


def parents(module: str) -> Sequence[str]:
    """The packages around `module`, outermost first."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _needs(graph: Graph, module: str, modules: Collection[str]) -> set[str]:
    return {name for name in (*graph.get(module, ()), *parents(module)) if name in modules and name != module}


class _Imports(ast.NodeVisitor):
    """Collects what a module's body imports. `package` is what relative names are relative to."""

    def __init__(self, package: str, known: Collection[str], later: bool, prefix: str) -> None:
        self.package = package
        self.prefix = prefix
        self.known = known
        self.later = later
        self.found: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name)
            if alias.asname is None:  # binds the outermost package, and the rest is reached through it
                for name in parents(alias.name):
                    self._add(name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._absolute(node.module or "", node.level)
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            self._add(inner if self._known(inner) in self.known else base)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0] if node.args else None
        if name in {"import_module", "__import__"} and isinstance(first, ast.Constant) and isinstance(first.value, str):
            level = len(first.value) - len(first.value.lstrip("."))
            self._add(self._absolute(first.value.lstrip("."), level))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        test = node.test
        if (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING":
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for expression in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(expression)
        for statement in node.body if self.later else ():
            self.visit(statement)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Its body runs later."""
        if self.later:
            self.generic_visit(node)

    def _absolute(self, name: str, level: int) -> str:
        if not level:
            return name
        base = self.package.split(".")
        base = base[: len(base) - (level - 1)]
        return ".".join([*base, *([name] if name else [])])

    def _add(self, name: str) -> None:
        name = self._known(name)
        if name in self.known:
            self.found.add(name)

    def _known(self, name: str) -> str:
        return name if name in self.known else f"{self.prefix}{name}"
