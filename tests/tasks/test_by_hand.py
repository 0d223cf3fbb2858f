"""What people ask for about one app by hand, and that it lasts until the spec in Git changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from leaks import everything, leaked
from workbench import Workbench

from celeriac.errors import MisuseError
from state.nodes import Node
from tasks import api


def deployed(bench: Workbench, *versions: str) -> None:
    for version in versions or ("1.0.0",):
        bench.app("web", version)
        bench.commit()
        bench.sync()


def done(bench: Workbench, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of what was asked for, once it is done."""
    bench.work()
    record = api.run_record(asked["run"])
    assert record is not None
    return list(record["steps"])


def test_a_roll_back_holds_until_the_spec_changes(bench: Workbench) -> None:
    deployed(bench, "1.0.0", "2.0.0")
    steps = done(bench, api.rollback("web"))
    assert [(step["task"], step["state"]) for step in steps] == [("rollback", "ok")]
    bench.sync()
    shown = api.status()["apps"]["web"]
    assert (shown["version"], shown["sync"], shown["reason"]) == ("1.0.0", "out_of_sync", "HeldByHand")
    assert shown["message"] == "rolled back by hand, until its spec changes"
    assert api.status()["status"] == "degraded"
    deployed(bench, "3.0.0")
    assert api.status()["apps"]["web"]["sync"] == "synced"
    assert bench.live("web").version == "3.0.0"


def test_a_roll_back_to_a_version(bench: Workbench) -> None:
    deployed(bench, "1.0.0", "2.0.0", "3.0.0")
    done(bench, api.rollback("web", to="1.0.0"))
    assert bench.live("web").version == "1.0.0"
    assert api.history("web")[0]["action"] == "rollback"


def test_a_held_app_that_dies_is_repaired_as_it_was_held(bench: Workbench) -> None:
    deployed(bench, "1.0.0", "2.0.0")
    done(bench, api.rollback("web"))
    bench.engine.live.put(replace(bench.live("web"), status="stopped"))
    bench.sync()
    assert api.history("web")[0]["action"] == "repair"
    assert bench.live("web").version == "1.0.0"


def test_a_restart_changes_nothing_but_the_process(bench: Workbench) -> None:
    deployed(bench)
    before = bench.live("web")
    done(bench, api.restart("web"))
    assert bench.live("web").digest == before.digest
    assert api.history("web")[0]["action"] == "restart"
    assert bench.engine.holds.holds() == {}
    assert api.status()["status"] == "synced"


def test_what_is_removed_though_it_is_in_git_comes_back_with_the_next_sync(bench: Workbench) -> None:
    deployed(bench)
    done(bench, api.remove("web"))
    assert bench.live("web") is None
    assert api.status()["apps"]["web"]["reason"] == "NotDeployed"
    bench.sync()
    assert bench.live("web").version == "1.0.0"


def test_an_upgrade_by_hand_holds_and_keeps_the_rest_of_the_spec(bench: Workbench) -> None:
    bench.app("web", COLOUR="blue")
    bench.commit()
    bench.sync()
    done(bench, api.upgrade("web", "1.5.0"))
    bench.sync()
    assert bench.live("web").version == "1.5.0"
    spec = bench.engine.vault.get(bench.live("web").digest)
    assert spec is not None
    assert spec.env == {"COLOUR": "blue"}
    assert api.status()["apps"]["web"]["message"].startswith("moved to 1.5.0 by hand")


def test_an_upgrade_to_what_is_no_version_is_misuse(bench: Workbench) -> None:
    deployed(bench)
    with pytest.raises(MisuseError, match="'latest' is not a version"):
        api.upgrade("web", "latest")
    assert bench.sent == []


def test_an_app_from_a_release_file_has_one_version(bench: Workbench) -> None:
    source = "source: {type: release, url: 'file:///x.whl', sha256: " + "0" * 64 + "}"
    bench.app("web", more=source)
    bench.commit()
    bench.sync()
    with pytest.raises(MisuseError) as caught:
        api.upgrade("web", "2.0.0")
    assert "belong to one version" in caught.value.message
    assert caught.value.hint == "change its spec in Git"


def test_a_node_that_does_not_have_the_spec_says_where_to_go(bench: Workbench) -> None:
    deployed(bench)
    for path in bench.engine.vault.folder.iterdir():
        path.unlink()
    with pytest.raises(MisuseError) as caught:
        api.upgrade("web", "2.0.0")
    assert caught.value.hint == "run this where it runs"


def test_a_spec_that_is_not_from_git_is_deployed_and_stays(bench: Workbench) -> None:
    bench.app("other")
    bench.commit()
    bench.sync()
    done(bench, api.deploy({"name": "web", "version": "1.0.0", "env": {"TOKEN": "hunter2"}}))
    assert bench.live("web").version == "1.0.0"
    assert not leaked("hunter2", everything(bench.engine.store.client, f"{bench.engine.store.key('')}*"))
    done(bench, api.deploy({"name": "web", "version": "2.0.0"}))
    assert bench.live("web").version == "2.0.0"
    assert api.history("web")[0]["action"] == "upgrade"
    bench.sync()
    assert bench.live("web").version == "2.0.0"


def test_a_spec_that_is_not_valid_says_why_and_does_nothing(bench: Workbench) -> None:
    with pytest.raises(MisuseError) as caught:
        api.deploy({"name": "web", "version": "1.0.0", "health": {"prot": 80}})
    assert "health.prot" in caught.value.message
    assert "port" in caught.value.message
    assert bench.sent == []


def test_without_a_node_that_fits_nothing_is_deployed(bench: Workbench) -> None:
    with pytest.raises(MisuseError, match="no live node fits the placement of web"):
        api.deploy({"name": "web", "version": "1.0.0", "placement": {"nodes": ["elsewhere"]}})


def test_an_app_on_several_nodes_is_changed_on_each(bench: Workbench) -> None:
    node = Node("n2", boot="n2", seen_at=bench.engine.clock())
    bench.engine.nodes.beat(node)
    bench.engine.live.replace("n2", {}, bench.engine.clock())
    bench.app("web", more="placement: {replicas: 2}")
    bench.commit()
    bench.sync()
    assert sorted(api.current_state()["web"]) == ["n1", "n2"]
    asked = api.remove("web")
    assert sorted(step.node for _, step in bench.sent) == ["n1", "n2"]
    assert {step["state"] for step in done(bench, asked)} == {"ok"}


def test_what_is_asked_for_during_a_run_joins_it(bench: Workbench) -> None:
    deployed(bench)
    run = api.request_sync()["run"]
    asked = api.restart("web")
    assert asked == {"run": run, "started": True}
    assert {step["action"] for step in done(bench, asked)} == {"restart"}
