"""What was parsed is put in force and planned, and each change becomes a step."""

from __future__ import annotations

from workbench import Workbench

from reconciler.diff import UNPLANNED
from state.holds import Hold, Suspension


def test_each_change_becomes_a_step_after_those_it_needs(bench: Workbench) -> None:
    bench.app("db")
    bench.app("web", more="depends_on: [db]")
    revision = bench.commit()
    bench.ask()
    run, _ = bench.until("diff")
    bench.step()
    assert [step.id for _, step in bench.sent] == ["db@n1"]
    steps = {record.step.id: record for record in bench.engine.runs.steps(run)}
    assert (steps["web@n1"].state, steps["web@n1"].step.needs) == ("pending", ("db@n1",))
    assert steps["db@n1"].step.revision == revision
    since = steps["db@n1"].step.payload["since"]
    assert set(since) == {"committed_at", "fetch", "parse", "plan"}
    facts = bench.engine.runs.facts(run)
    assert (facts["planned"], facts["held"], facts["revision"]) == (True, 0, revision)
    stop = bench.events("deps.stop")[0]
    assert (stop.extra["changes"], stop.extra["held"], stop.extra["plan"]) == (2, 0, facts["plan"])


def test_the_revision_in_force_knows_who_made_it(bench: Workbench) -> None:
    bench.app("web")
    revision = bench.commit("Add web")
    bench.sync()
    head = bench.engine.desired.head()
    assert head is not None
    assert (head.revision, head.branch, head.author, head.subject) == (revision, "main", "Ada", "Add web")
    assert head.committed_at
    change = bench.engine.history.of("web")[0]
    assert (change.author, change.subject) == ("Ada", "Add web")


def test_a_pinned_plan_that_is_no_longer_what_a_sync_would_do_does_nothing(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    record = bench.sync(plan="000000000000")
    assert (record["status"], record["error"][:12]) == ("error", "PlanChanged:")
    assert bench.live("web") is None


def test_a_pinned_plan_that_still_holds_is_carried_out(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.ask()
    bench.until("deploy")
    plan = bench.events("deps.stop")[0].extra["plan"]
    bench.engine.store.client.delete(*bench.engine.store.client.keys(f"{bench.engine.store.key('')}*"))
    bench.sent.clear()
    bench.node("n1")
    assert bench.sync(plan=plan)["status"] == "synced"
    assert bench.live("web").version == "1.0.0"


def test_what_was_put_in_force_is_planned_though_the_planner_dies(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    assert UNPLANNED not in bench.engine.due.due(bench.engine.store.now())
    bench.app("web", "2.0.0")
    bench.commit()
    bench.sync(plan="000000000000")  # put in force, and then nothing
    assert UNPLANNED in bench.engine.due.due(bench.engine.store.now())
    bench.sync("beat")
    assert bench.live("web").version == "2.0.0"


def test_a_hold_ends_when_its_spec_changes(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    digest = bench.engine.desired.digest("web")
    bench.engine.holds.hold(Hold("web", digest, "0.9.0"))
    bench.sync()
    assert list(bench.engine.holds.holds()) == ["web"]
    bench.app("web", "2.0.0")
    bench.commit()
    bench.sync()
    assert bench.engine.holds.holds() == {}
    assert bench.live("web").version == "2.0.0"


def test_an_app_that_is_held_is_removed_by_the_sync_that_finds_it_gone_from_git(bench: Workbench) -> None:
    bench.app("web")
    bench.app("other")
    bench.commit()
    bench.sync()
    bench.engine.holds.hold(Hold("web", bench.engine.desired.digest("web") or "", "0.9.0"))
    bench.drop("web")
    bench.commit()
    bench.sync()
    assert bench.engine.holds.holds() == {}
    assert list(bench.engine.runtime.current_state()) == ["other"]


def test_the_end_of_a_suspension_is_remembered_as_due(bench: Workbench) -> None:
    bench.app("web", more="suspend: {until: 2999-01-01T00:00:00Z, reason: holidays}")
    bench.app("other")
    bench.commit()
    until = bench.engine.store.now() + 1000
    bench.engine.holds.suspend("other", Suspension(until, "by hand"))
    bench.sync()
    assert bench.engine.runtime.current_state() == {}
    times = dict(bench.engine.store.client.zrange(bench.engine.store.key("due"), 0, -1, withscores=True))
    assert times["suspension:other"] == until
    assert times["wait:web@n1"] > until


def test_outcomes_that_only_described_a_run_are_dropped_by_the_next_plan(bench: Workbench) -> None:
    bench.app("db", NOOP_FAIL="deploy")
    bench.app("web", more="depends_on: [db]")
    bench.commit()
    bench.sync()
    assert bench.engine.outcomes.all()["web", "n1"].result == "blocked"
    bench.app("db")
    bench.commit()
    assert bench.sync()["status"] == "synced"
    assert ("web", "n1") not in bench.engine.outcomes.all()


def test_a_branch_that_changes_nothing_but_a_description_restarts_nothing(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    before = bench.live("web")
    bench.app("web", more="description: The shop")
    bench.commit()
    record = bench.sync()
    assert [(step["task"], step["action"]) for step in record["steps"]] == [("reconfigure", "record")]
    after = bench.live("web")
    assert (after.description, after.started_at) == ("The shop", before.started_at)
