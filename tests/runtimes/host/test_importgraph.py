"""Which modules a change concerns and in which order they are imported: by example, and for any graph."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.host.importgraph import dependents, import_order, imports_of, reached

KNOWN = {"a", "a.b", "a.b.c", "a.d", "x"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a.b.c", {"a", "a.b", "a.b.c"}),
        ("import a.b.c as short", {"a.b.c"}),
        ("from a.b import c", {"a.b.c"}),
        ("from a.b import VALUE", {"a.b"}),
        ("from . import d", {"a.d"}),
        ("from .b import VALUE", {"a.b"}),
        ("from .. import x", set()),
        ("import json, x", {"x"}),
        ("try:\n import x\nexcept ImportError:\n import a.d as x", {"x", "a.d"}),
        ("class C:\n import x", {"x"}),
        ("def f():\n import x", set()),
        ("f = lambda: __import__('x')", set()),
        ("def f(y=__import__('x')): pass", {"x"}),
        ("@importlib.import_module('x').decorate\ndef f(): pass", {"x"}),
        ("importlib.import_module('.b', __package__)", {"a.b"}),
        ("if TYPE_CHECKING:\n import x\nelse:\n import a.d", {"a.d", "a"}),
        ("if typing.TYPE_CHECKING:\n import x", set()),
        ("from a import *", {"a"}),
    ],
)
def test_what_the_body_of_a_module_imports(source: str, expected: set[str]) -> None:
    assert imports_of(ast.parse(source), "a.me", False, KNOWN) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n def g():\n  import x\n return g", {"x"}),
        ("async def f(): from . import d", {"a.d"}),
        ("f = lambda: __import__('x')", {"x"}),
        ("def f():\n if TYPE_CHECKING:\n  import x", set()),
    ],
)
def test_what_functions_import_later_is_found_when_asked_for(source: str, expected: set[str]) -> None:
    assert imports_of(ast.parse(source), "a.me", False, KNOWN) == set()
    assert imports_of(ast.parse(source), "a.me", False, KNOWN, later=True) == expected


def test_what_is_reached_counts_the_packages_around_it() -> None:
    graph = {"a.web": {"a.b.views"}, "a.b.views": {"a.web", "x"}, "a": set(), "a.b": {"y"}, "y": set(), "z": {"a.web"}}
    assert reached(graph, "a.web") == {"a.web", "a.b.views", "x", "a", "a.b", "y"}


def test_names_are_relative_to_a_package_itself() -> None:
    assert imports_of(ast.parse("from . import d\nfrom .b import c"), "a", True, KNOWN) == {"a.d", "a.b.c"}


def test_dependents_are_found_through_others_and_cycles() -> None:
    graph = {"web": {"views"}, "views": {"models", "web"}, "models": {"db"}, "db": set(), "cli": set()}
    assert dependents(graph, ["db"]) == {"db", "models", "views", "web"}
    assert dependents(graph, ["web"]) == {"web", "views"}
    assert dependents(graph, []) == frozenset()


NAMES = [f"m{number}" for number in range(12)]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.frozensets(st.sampled_from(NAMES)), max_size=12)


def reaches(graph: Mapping[str, Collection[str]], begin: str, end: str, within: Collection[str]) -> bool:
    """Whether `begin` imports `end`, directly or through others of `within`. Another way than the code's."""
    seen, waiting = set(), [begin]
    while waiting:
        for name in graph.get(waiting.pop(), ()):
            if name == end:
                return True
            if name in within and name not in seen:
                seen.add(name)
                waiting.append(name)
    return False


@given(GRAPHS, st.frozensets(st.sampled_from(NAMES), max_size=4))
def test_exactly_those_that_reach_a_change_are_concerned(graph: dict[str, frozenset[str]], changed: set[str]) -> None:
    expected = {name for name in graph if any(reaches(graph, name, one, graph) for one in changed)} | set(changed)
    assert dependents(graph, changed) == expected


@given(GRAPHS, st.frozensets(st.sampled_from(NAMES)))
def test_each_comes_once_and_after_what_it_imports_unless_they_import_each_other(
    graph: dict[str, frozenset[str]], modules: frozenset[str]
) -> None:
    order = import_order(graph, modules)
    assert sorted(order) == sorted(modules)
    place = {name: number for number, name in enumerate(order)}
    for name in modules:
        for imported in graph.get(name, frozenset()) & modules - {name}:
            if not reaches(graph, imported, name, modules):
                assert place[imported] < place[name]


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4), st.data())
def test_a_package_comes_before_its_modules(parts: list[str], data: st.DataObject) -> None:
    names = {".".join(parts[: count + 1]) for count in range(len(parts))}
    chosen = data.draw(st.frozensets(st.sampled_from(sorted(names))))
    assert list(import_order({}, chosen)) == sorted(chosen, key=len)


def test_a_chain_of_thousands_is_no_trouble() -> None:
    graph = {f"m{number:05}": {f"m{number + 1:05}"} for number in range(5000)}
    order = import_order(graph, dependents(graph, ["m05000"]))
    assert order[0] == "m05000"
    assert order[-1] == "m00000"


@given(GRAPHS, st.sampled_from(NAMES))
def test_what_is_reached_is_what_imports_lead_to(graph: dict[str, frozenset[str]], begin: str) -> None:
    everything = {*graph, *(name for imported in graph.values() for name in imported)}
    assert reached(graph, begin) == {begin} | {name for name in everything if reaches(graph, begin, name, graph)}
