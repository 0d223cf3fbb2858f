"""Is there anything to do? One look at the remote answers, and says which steps follow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from workbench import Workbench

from reconciler.pull import remember_remote
from specs.repository_errors import RemoteUnreachable


def pulled(bench: Workbench, trigger: str = "hand", **options: object) -> list[str]:
    """The tasks that follow a pull."""
    bench.ask(trigger, **options)
    bench.step()
    return bench.tasks()


def test_the_first_pull_makes_the_mirror_and_is_followed_by_a_parse(bench: Workbench) -> None:
    bench.app("web")
    revision = bench.commit()
    bench.sync()
    names = [event.name for event in bench.events()]
    assert names[:4] == ["reconcile.start", "git.clone_start", "git.clone_stop", "git.pull"]
    clone = bench.events("git.clone_stop")[0]
    assert (clone.revision, clone.result) == (revision, "ok")
    assert clone.duration is not None
    pull = bench.events("git.pull")[0]
    assert (pull.revision, pull.result, pull.extra) == (revision, "ok", {"changed": True})


def test_an_idle_tick_is_one_look_and_nothing_more(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    events = len(bench.events())
    recent = len(bench.engine.runs.recent())
    for forbidden in ("fetch", "tree", "read", "commit"):
        monkeypatch.setattr(bench.engine.mirror, forbidden, lambda *_: pytest.fail("more than a look"))
    assert pulled(bench, "beat") == []
    assert len(bench.events()) == events
    assert len(bench.engine.runs.recent()) == recent


def test_a_sync_by_hand_plans_though_nothing_is_new(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    assert pulled(bench) == ["diff"]


def test_what_is_due_is_planned_once(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    bench.engine.due.schedule("retry:web@n1", bench.engine.store.now())
    assert pulled(bench, "beat") == ["diff"]
    bench.work()
    assert pulled(bench, "beat") == []


def test_a_node_that_is_not_known_is_looked_at_first(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    bench.node("n2")
    assert pulled(bench, "beat") == ["observe"]
    assert bench.sent[0][1].node == "n2"


def test_a_forced_push_is_followed(bench: Workbench) -> None:
    bench.app("web")
    first = bench.commit()
    bench.app("web", "2.0.0")
    bench.commit()
    bench.sync()
    assert bench.live("web").version == "2.0.0"
    bench.git("reset", "-q", "--hard", first)
    bench.app("web", "1.5.0")
    bench.commit()
    bench.sync()
    assert bench.live("web").version == "1.5.0"


def test_an_unreachable_remote_is_an_error_once_and_the_last_good_revision_stays(bench: Workbench) -> None:
    bench.app("web")
    revision = bench.commit()
    bench.sync()
    bench.repo.rename(bench.repo.with_name("elsewhere"))
    record = bench.sync("beat")
    assert (record["status"], record["error"][:18]) == ("error", "RemoteUnreachable:")
    status = bench.status()
    assert (status["status"], status["revision"], status["apps"]["web"]["sync"]) == ("error", revision, "synced")
    assert [event.result for event in bench.events("git.pull")] == ["ok", "failed"]
    assert len(bench.faults) == 1
    errors = len(bench.events("reconcile.error"))
    bench.sync("beat")
    assert len(bench.events("reconcile.error")) == errors
    assert len(bench.faults) == 1
    bench.repo.with_name("elsewhere").rename(bench.repo)
    assert bench.sync()["status"] == "synced"
    assert bench.status()["status"] == "synced"


def test_whoever_asks_again_is_told_again_that_the_remote_cannot_be_used(bench: Workbench) -> None:
    for _ in range(2):
        record = bench.sync()  # of a repository without a commit
        assert record["error"].startswith("EmptyRepository: ")
        assert bench.engine.runs.record(record["run"]) is not None
    assert len(bench.faults) == 1


def test_what_drifted_is_repaired_while_the_remote_is_away(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    bench.engine.runtime.remove("web")
    bench.engine.live.drop("web", "n1")
    bench.engine.due.schedule("drift:n1", bench.engine.store.now())
    bench.repo.rename(bench.repo.with_name("elsewhere"))
    assert "RemoteUnreachable" in bench.sync("beat")["error"]
    assert bench.live("web").version == "1.0.0"


def test_a_failure_to_reach_the_remote_is_remembered_with_its_reason(bench: Workbench) -> None:
    for _ in range(2):
        remember_remote(bench.engine, RemoteUnreachable("no route"))
    remote = bench.engine.desired.remote()
    assert remote is not None
    assert (remote.ok, remote.reason, remote.message) == (False, "RemoteUnreachable", "no route")
    assert [event.error for event in bench.events("git.pull")] == ["RemoteUnreachable: no route"]


def test_a_password_in_the_url_is_told_to_nobody(bench: Workbench) -> None:
    bench.engine.settings = replace(bench.engine.settings, repo_url="https://me:hunter2@127.0.0.1:1/x.git")
    record = bench.sync()
    assert record["status"] == "error"
    assert "hunter2" not in repr((record, bench.events(), bench.status(), bench.faults))
