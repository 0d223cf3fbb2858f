"""What a plan and the status are made from is all read, and nothing else is decided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from workbench import Workbench

from reconciler.known import known, policy_for
from reconciler.placement import NODE_GRACE
from reconciler.steps import PULL
from state.desired import Head
from state.holds import Suspension
from state.nodes import Node
from state.store import Store


def test_of_an_empty_redis_nothing_is_known(bench: Workbench) -> None:
    found = known(bench.engine)
    assert (found.head, found.remote, found.apps, found.live, found.steps) == (None, None, {}, {}, ())
    assert (found.syncing, found.branch, found.last_sync) == (False, "main", 0.0)


def test_after_a_sync_everything_is_known(bench: Workbench) -> None:
    bench.app("web")
    revision = bench.commit()
    bench.sync()
    found = known(bench.engine)
    assert found.head is not None
    assert (found.head.revision, list(found.apps), list(found.live), list(found.observed)) == (
        revision, ["web"], ["web"], ["n1"],
    )  # fmt: skip
    assert found.last_sync > 0
    assert not found.syncing


def test_a_tick_of_beat_is_no_sync_before_there_is_something_to_do(bench: Workbench) -> None:
    run = bench.engine.runs.request("beat", PULL).run
    assert not known(bench.engine).syncing
    bench.app("web")
    bench.commit()
    bench.sent.append((run, PULL))
    bench.step()
    assert known(bench.engine).syncing


def test_the_rules_of_a_plan_are_those_of_now(bench: Workbench) -> None:
    bench.node("n1", labels={"role": "web"})
    bench.engine.nodes.beat(Node("gone"), ttl=0.001)
    bench.engine.holds.suspend(None, Suspension(reason="freeze"))
    bench.engine.holds.allow_removals("abc")
    options = {"force": True, "only": "web"}
    found = policy_for(bench.engine, Head("abcdef", apps_dir_found=False), {}, {}, options=options)
    assert found.nodes.get("n1") == {"role": "web"}
    assert (found.revision, found.force, found.only, found.apps_dir_found) == ("abcdef", True, "web", False)
    assert list(found.suspensions) == ["*"]
    assert found.removals_acknowledged


def test_apps_stay_where_they_are_while_a_worker_is_started_anew(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    node = Node("n1", boot="n1", seen_at=bench.engine.store.now())
    bench.engine.nodes.leave(node)
    assert not bench.engine.nodes.all()["n1"].alive
    assert bench.status()["apps"]["web"]["sync"] == "synced"
    gone = replace(node, boot="x", seen_at=node.seen_at - NODE_GRACE - 1)
    bench.engine.nodes.beat(gone)
    bench.engine.nodes.leave(gone)
    assert bench.status()["apps"]["web"]["reason"] == "NoNode"


def test_an_app_whose_last_spec_says_prune_false_is_never_removed(bench: Workbench) -> None:
    bench.app("web", more="prune: false")
    bench.app("other")
    bench.commit()
    bench.sync()
    bench.drop("web")
    bench.commit()
    bench.sync()
    assert known(bench.engine).policy.never_prune == {"web"}
    assert bench.status()["apps"]["web"]["reason"] == "PruneOff"
    assert bench.live("web") is not None


def test_an_observation_is_old_after_some_of_a_nodes_own_intervals(tmp_path: Path, store: Store) -> None:
    slow = Workbench(tmp_path / "slow", store.url, store.prefix, observe_interval=60.0)
    assert known(slow.engine).too_old == 360.0
    slow.engine.store.close()
