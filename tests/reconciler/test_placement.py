"""Which nodes run an app."""

from __future__ import annotations

from reconciler.placement import NODE_GRACE, candidates, nodes_gone, place
from specs.model import Placement
from state.nodes import Node

NODES = {"a": {"role": "web"}, "b": {"role": "web"}, "c": {"role": "db"}}


def test_names_and_labels_both_narrow_the_choice() -> None:
    assert candidates(Placement(), NODES) == ["a", "b", "c"]
    assert candidates(Placement(labels={"role": "web"}), NODES) == ["a", "b"]
    assert candidates(Placement(nodes=("b", "c"), labels={"role": "web"}), NODES) == ["b"]
    assert place("app", Placement(nodes=("gone",)), NODES) == ()


def test_an_app_stays_where_it_runs() -> None:
    for node in NODES:
        assert place("app", Placement(), NODES, running_on=[node]) == (node,)


def test_losing_a_node_moves_only_its_own_apps() -> None:
    before = {f"app{n}": place(f"app{n}", Placement(), NODES) for n in range(50)}
    rest = {name: labels for name, labels in NODES.items() if name != "b"}
    assert len(set(before.values())) == 3
    for name, chosen in before.items():
        if chosen != ("b",):
            assert place(name, Placement(), rest) == chosen


def test_replicas_are_on_nodes_of_their_own() -> None:
    assert len(set(place("app", Placement(replicas=2), NODES))) == 2
    assert place("app", Placement(replicas=9), NODES) == ("a", "b", "c")


def test_a_silent_node_is_waited_for_and_then_not() -> None:
    nodes = {
        "alive": Node("alive", seen_at=0.0),
        "silent": Node("silent", seen_at=1000.0 - NODE_GRACE, alive=False),
        "gone": Node("gone", seen_at=1000.0 - NODE_GRACE - 1, alive=False),
    }
    assert nodes_gone(nodes, 1000.0) == {"gone"}
