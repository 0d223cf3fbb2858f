"""The newest commit wins over the one that is worked at."""

from __future__ import annotations

from workbench import Workbench

from reconciler.refresh import refresh


def test_a_newer_revision_is_put_in_force_beside_the_run(bench: Workbench) -> None:
    bench.app("web")
    bench.app("other")
    bench.commit()
    first = bench.ask()
    run, _ = bench.until("deploy")
    assert not refresh(bench.engine, run)
    bench.app("web", "2.0.0")
    revision = bench.commit()
    second = bench.ask()
    head = bench.engine.desired.head()
    assert head is not None
    assert head.revision == revision
    bench.work()
    states = {step["app"]: step["state"] for step in bench.answers[first]["steps"]}
    assert states == {"web": "superseded", "other": "ok"}
    assert bench.answers[second]["status"] == "synced"
    assert bench.live("web").version == "2.0.0"
    assert len(bench.events("upgrade.start")) == 0  # the old one never was deployed


def test_before_the_run_has_planned_it_is_left_to_its_own_diff(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.ask()
    run, _ = bench.until("parse")
    bench.app("web", "2.0.0")
    bench.commit()
    assert not refresh(bench.engine, run)


def test_while_another_is_at_it_nothing_is_done(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.ask()
    run, _ = bench.until("deploy")
    bench.app("web", "2.0.0")
    bench.commit()
    lease = bench.engine.leases.acquire("desired", "another", 60)
    assert lease is not None
    assert not refresh(bench.engine, run)
    bench.engine.leases.release(lease)
    assert refresh(bench.engine, run)


def test_an_unreachable_remote_is_remembered_and_the_run_goes_on(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.ask()
    run, _ = bench.until("deploy")
    bench.repo.rename(bench.repo.with_name("elsewhere"))
    assert not refresh(bench.engine, run)
    remote = bench.engine.desired.remote()
    assert remote is not None
    assert (remote.ok, remote.reason) == (False, "RemoteUnreachable")
    bench.work()
    assert bench.live("web").version == "1.0.0"
