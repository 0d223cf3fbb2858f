"""The dependency graph, by example and by property."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.graph import cycles, dependents, missing, order, reverse, spell

NAMES = st.sampled_from([f"n{number}" for number in range(9)])
GRAPHS = st.dictionaries(NAMES, st.lists(NAMES, max_size=4), max_size=9)


def reaches(edges, start):
    """All that `start` needs, directly or not, by plain search."""
    seen, pending = set(), list(edges.get(start, ()))
    while pending:
        name = pending.pop()
        if name in edges and name not in seen:
            seen.add(name)
            pending.extend(edges[name])
    return seen


def test_dependencies_come_first_and_names_decide_the_rest():
    assert order({"web": ["db", "cache"], "db": [], "cache": ["net"], "net": [], "zoo": []}) == (
        "db",
        "net",
        "zoo",
        "cache",
        "web",
    )


def test_a_cycle_is_reported_with_its_path():
    assert cycles({"b": ["a"], "a": ["b"], "c": ["a"]}) == (("a", "b", "a"),)
    assert cycles({"a": ["a"]}) == (("a", "a"),)
    assert spell(("a", "b", "a")) == "a → b → a"


def test_each_knot_gives_one_cycle():
    edges = {"a": ["b"], "b": ["a"], "x": ["y"], "y": ["z"], "z": ["x", "a"]}
    assert cycles(edges) == (("a", "b", "a"), ("x", "y", "z", "x"))


def test_a_long_cycle_is_spelled_with_its_middle_left_out():
    text = spell((*(f"n{number}" for number in range(500)), "n0"))
    assert text.startswith("n0 → n1 →")
    assert text.endswith("more) → n0")
    assert len(text) < 150


def test_missing_names_are_listed_by_who_needs_them():
    assert missing({"b": ["x", "a", "x"], "a": ["y"]}) == {"a": ("y",), "b": ("x",)}


def test_dependents_are_transitive_and_know_their_way():
    edges = {"a": [], "b": ["a"], "c": ["b"], "d": ["c", "a"], "e": []}
    assert dependents(edges, ["a"]) == {"b": "a", "d": "a", "c": "b"}
    assert dependents(edges, ["unknown"]) == {}


def test_a_chain_of_many_thousands_needs_no_recursion():
    edges = {f"n{n:05}": [f"n{n - 1:05}"] if n else [] for n in range(20_000)}
    assert order(edges) == tuple(sorted(edges))
    assert cycles(edges) == ()
    edges["n00000"] = ["n19999"]
    assert len(cycles(edges)[0]) == 20_001


@settings(max_examples=200, deadline=None)
@given(edges=GRAPHS, data=st.data())
def test_the_answers_do_not_depend_on_the_order_of_the_question(edges, data):
    shuffled = dict(data.draw(st.permutations(list(edges.items()))))
    assert order(shuffled) == order(edges)
    assert cycles(shuffled) == cycles(edges)
    assert missing(shuffled) == missing(edges)
    assert dependents(shuffled, ["n0", "n3"]) == dependents(edges, ["n0", "n3"])


@settings(max_examples=200, deadline=None)
@given(edges=GRAPHS)
def test_the_order_holds_every_app_once_and_respects_what_can_be_respected(edges):
    place = {name: index for index, name in enumerate(order(edges))}
    assert sorted(place) == sorted(edges)
    stuck = {name for name in edges if any(other in reaches(edges, other) for other in {name} | reaches(edges, name))}
    for name in edges.keys() - stuck:
        assert all(place[d] < place[name] for d in edges[name] if d in edges)


@settings(max_examples=200, deadline=None)
@given(edges=GRAPHS)
def test_each_cycle_is_a_real_closed_path_and_every_knot_has_one(edges):
    found = cycles(edges)
    for cycle in found:
        assert cycle[0] == cycle[-1] == min(cycle)
        assert all(after in edges[before] for before, after in itertools.pairwise(cycle))
        assert len(set(cycle)) == len(cycle) - 1
    knotted = {name for name in edges if name in reaches(edges, name)}
    covered = {name for name in knotted for cycle in found if cycle[0] in reaches(edges, name) | {name}}
    assert covered >= knotted
    assert {name for cycle in found for name in cycle} <= knotted


@settings(max_examples=200, deadline=None)
@given(edges=GRAPHS, roots=st.sets(NAMES, max_size=3))
def test_dependents_are_exactly_those_that_reach_a_root(edges, roots):
    expected = {name for name in edges if name not in roots and reaches(edges, name) & roots}
    found = dependents(edges, roots)
    assert found.keys() == expected
    assert all(parent in edges[name] for name, parent in found.items())


@pytest.mark.parametrize("edges", [{}, {"a": []}])
def test_small_graphs_are_fine(edges):
    assert order(edges) == tuple(edges)
    assert cycles(edges) == ()
    assert reverse(edges) == {name: [] for name in edges}
