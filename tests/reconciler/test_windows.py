"""Sync windows from end to end: what they hold back is shown, waits for its time, and then is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from workbench import Workbench

from celeriac.windows import parse_windows
from reconciler.asking import ask_for_steps, stamp
from reconciler.known import known
from reconciler.status import standings_of
from reconciler.steps import manual_step
from reconciler.sweep import sweep
from reconciler.why import explain
from state.store import Store


@pytest.fixture
def closed(tmp_path: Path, store: Store) -> Workbench:
    """A workbench whose only window opens in about two hours."""
    opens = datetime.now(UTC) + timedelta(hours=2)
    windows = parse_windows(f"allow 0 {opens.hour} * * * for 1h")
    return Workbench(tmp_path / "closed", store.url, store.prefix, sync_windows=windows)


def test_a_held_change_is_shown_waits_and_can_be_forced(closed: Workbench) -> None:
    closed.app("web")
    closed.app("other")
    closed.commit()
    record = closed.sync()
    status = closed.status()
    assert (record["steps"], record["status"], status["status"]) == ([], "synced", "synced")
    web = status["apps"]["web"]
    assert (web["sync"], web["reason"]) == ("out_of_sync", "SyncWindow")
    assert "held back by a sync window until " in web["message"]
    facts = known(closed.engine)
    told = explain("web", facts.apps["web"], standings_of(facts)["web"], (), facts.now)
    assert "celeriac sync --force --app web" in told["next"]
    now = closed.engine.store.now()
    assert now + 3600 < (closed.engine.due.next() or 0.0) <= now + 7200
    closed.sync(force=True, app="web")
    assert closed.live("web").version == "1.0.0"
    assert closed.live("other") is None


def test_what_was_held_back_is_done_by_itself_when_the_window_opens(
    closed: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed.app("web")
    closed.commit()
    closed.sync()
    opens = closed.engine.due.next()
    assert opens is not None
    monkeypatch.setattr(closed.engine.store, "now", lambda: opens - 1)
    sweep(closed.engine)
    assert closed.tasks() == []
    monkeypatch.setattr(closed.engine.store, "now", lambda: opens)
    sweep(closed.engine)
    closed.work()
    assert closed.live("web").version == "1.0.0"


def test_windows_of_which_no_end_can_be_told_are_looked_at_again(tmp_path: Path, store: Store) -> None:
    windows = parse_windows("deny * * * * * for 1m")
    always = Workbench(tmp_path / "always", store.url, store.prefix, sync_windows=windows)
    always.app("web")
    always.commit()
    always.sync()
    now = always.engine.store.now()
    assert now + 3600 < (always.engine.due.next() or 0.0) < now + 86400


def test_what_is_asked_for_by_hand_and_what_heals_is_done_at_any_time(closed: Workbench) -> None:
    for version in ("1.0.0", "2.0.0"):
        closed.app("web", version)
        closed.commit()
        closed.sync(force=True)
    closed.engine.runtime.deploy(closed.engine.vault.get(closed.live("web").digest))  # type: ignore[arg-type]
    state = closed.engine.live.app("web")["n1"]
    given = {"from_digest": state.digest, "from_version": state.version}
    ask_for_steps(closed.engine, [manual_step("rollback", "web", "n1", stamp(), **given)])
    closed.work()
    assert closed.live("web").version == "1.0.0"
    assert closed.sync()["steps"] == []  # back to what Git says only when the window is open
    assert closed.status()["status"] == "synced"


def test_an_apps_own_window_counts_too_also_when_it_is_gone_from_git(bench: Workbench) -> None:
    opens = datetime.now(UTC) + timedelta(hours=2)
    window = f'windows: [{{allow: "0 {opens.hour} * * *", for: 1h}}]'
    bench.app("web", more=window)
    bench.app("other")
    bench.commit()
    assert [step["app"] for step in bench.sync()["steps"]] == ["other"]
    bench.sync(force=True)
    bench.drop("web")
    bench.commit()
    assert bench.sync()["steps"] == []
    assert bench.status()["apps"]["web"]["reason"] == "SyncWindow"
    bench.sync(force=True)
    assert bench.live("web") is None
