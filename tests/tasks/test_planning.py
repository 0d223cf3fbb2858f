"""What a sync would do, without doing it."""

from __future__ import annotations

from typing import Any

import pytest
from workbench import Workbench

from celeriac.errors import MisuseError
from specs.repository_errors import RepositoryError
from state.unavailable import StateUnavailable
from tasks import api


def actions(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(action["action"], action["app"]) for action in found["actions"]]


def test_the_plan_of_what_is_in_force_is_what_the_next_sync_does(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    assert api.plan()["empty"] is True
    bench.engine.runtime.remove("web")
    bench.engine.live.drop("web", "n1")
    found = api.plan()
    assert (actions(found), found["problems"]) == ([("deploy", "web")], [])
    bench.sync(plan=found["id"])
    assert bench.live("web") is not None
    assert api.plan()["empty"] is True


def test_before_the_first_sync_it_is_made_from_the_branch(bench: Workbench) -> None:
    bench.app("db")
    bench.app("web", more="depends_on: [db]")
    revision = bench.commit()
    found = api.plan()
    assert found["revision"] == revision
    assert bench.engine.desired.head() is None


def test_any_revision_may_be_planned_and_nothing_is_changed(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    bench.git("switch", "-q", "-c", "next")
    bench.app("web", "2.0.0")
    bench.write("bad", "name: bad\nversion: 1.10\n")
    bench.commit()
    before = bench.engine.desired.head()
    found = api.plan("next")
    assert actions(found) == [("upgrade", "web")]
    assert found["actions"][0]["from_version"] == "1.0.0"
    assert found["problems"][0].startswith("apps/bad/app.yaml:2:")
    assert bench.engine.desired.head() == before
    assert bench.engine.runs.current() is None


def test_a_revision_that_there_is_not_is_an_error(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    with pytest.raises(RepositoryError):
        api.plan("nowhere")


def test_it_is_made_against_an_exported_state(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    exported = api.current_state()
    assert api.plan(live=exported)["empty"] is True
    exported["web"]["n1"]["digest"] = "r-e-d"
    exported["old"] = {"n1": {**exported["web"]["n1"], "name": "old"}}
    assert sorted(actions(api.plan(live=exported))) == [("remove", "old"), ("upgrade", "web")]
    assert actions(api.plan(live={})) == [("deploy", "web")]
    assert api.plan()["empty"] is True


def test_an_exported_state_of_other_nodes_counts_as_theirs(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    state = api.current_state()["web"]["n1"]
    exported = {"web": {"elsewhere": {**state, "node": "elsewhere", "digest": "r-e-d"}}}
    assert [action["node"] for action in api.plan(live=exported)["actions"]] == ["elsewhere"]


def test_against_an_exported_state_no_redis_is_needed(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    exported = api.current_state()
    bench.app("web", "2.0.0")
    revision = bench.commit()
    monkeypatch.setenv("REDIS_URL", f"unix://{bench.engine.settings.home}/no.sock")
    found = api.plan(live=exported)
    assert (found["revision"], actions(found)) == (revision, [("upgrade", "web")])
    with pytest.raises(StateUnavailable):
        api.plan()


@pytest.mark.parametrize("document", [{"web": 1}, {"web": {"n1": {"name": "web"}}}, {"web": {"n1": {"pid": "x"}}}])
def test_what_is_no_exported_state_is_misuse(bench: Workbench, document: dict[str, Any]) -> None:
    with pytest.raises(MisuseError, match="not an exported state"):
        api.plan(live=document)
