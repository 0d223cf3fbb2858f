"""`state.nodes` against a real Redis."""

from __future__ import annotations

from dataclasses import replace

from waiting import wait_for

from state.nodes import Node, Nodes
from state.store import Store

A = Node("a", "boot1", {"role": "web"}, "process", "1.0", 42, 1.5, 2.5)


def test_a_node_that_beats_is_alive_and_read_whole(store: Store) -> None:
    nodes = Nodes(store)
    assert nodes.all() == {}
    nodes.beat(Node("b"))
    nodes.beat(A)
    assert nodes.all() == {"a": A, "b": Node("b")}
    assert list(nodes.all()) == ["a", "b"]


def test_silence_is_death_but_the_node_stays_known_and_comes_back(store: Store) -> None:
    nodes = Nodes(store)
    nodes.beat(A, ttl=0.05)
    wait_for(lambda: not nodes.all()["a"].alive)
    assert nodes.all() == {"a": replace(A, alive=False)}
    nodes.beat(A)
    assert nodes.all() == {"a": A}


def test_a_node_that_leaves_is_dead_at_once(store: Store) -> None:
    nodes = Nodes(store)
    nodes.beat(A)
    nodes.leave(A)
    assert not nodes.all()["a"].alive


def test_an_old_worker_that_leaves_does_not_end_the_one_that_replaced_it(store: Store) -> None:
    nodes = Nodes(store)
    nodes.beat(A)
    nodes.beat(replace(A, boot="boot2"))
    nodes.leave(A)
    assert nodes.all()["a"] == replace(A, boot="boot2")


def test_a_forgotten_node_leaves_nothing(store: Store) -> None:
    nodes = Nodes(store)
    nodes.beat(A)
    nodes.forget("a")
    assert nodes.all() == {}
    assert list(store.client.scan_iter(f"{store.key('')}*")) == []
