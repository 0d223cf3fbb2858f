"""The repository goes away, comes back, or is not what it was: what runs is never harmed by it."""

from __future__ import annotations

import shutil

import pytest
from installation import Installation
from waiting import wait_for

pytestmark = pytest.mark.e2e


def failures(here: Installation) -> list[str]:
    """Why each event about a failed pull says that it failed."""
    events = here.engine.events.last(10_000)
    return [event.error.partition(":")[0] for event in events if event.name == "git.pull" and event.result == "failed"]


def running(here: Installation) -> dict[str, str]:
    """The version of each app."""
    return {name: state.version for name, state in here.engine.runtime.current_state().items()}


def begin(here: Installation) -> None:
    """Have two apps run."""
    here.app("db")
    here.app("web", needs=("db",))
    here.commit()
    here.start()
    here.settle()
    assert running(here) == {"db": "1.0.0", "web": "1.0.0"}


def test_an_outage_is_told_once_and_over_once_the_remote_is_back(here: Installation) -> None:
    begin(here)
    before = here.engine.runtime.current_state()
    away = here.repo.rename(here.folder / "away")
    for _ in range(2):
        record = here.sync()
        assert record["status"] == "error"
        assert "RemoteUnreachable" in record["error"]
    status = here.status()
    assert status["status"] == "error"
    assert {app["sync"] for app in status["apps"].values()} == {"synced"}
    assert failures(here) == ["RemoteUnreachable"]
    assert here.engine.runtime.current_state() == before

    away.rename(here.repo)
    here.app("web", "2.0.0", needs=("db",))
    here.commit()
    assert here.sync()["status"] == "synced"
    assert here.status()["status"] == "synced"
    assert running(here) == {"db": "1.0.0", "web": "2.0.0"}

    here.repo.rename(away)
    here.sync()
    assert failures(here) == ["RemoteUnreachable", "RemoteUnreachable"]


def test_what_drifts_during_an_outage_is_repaired_all_the_same() -> None:
    with Installation(CELERIAC_INTERVAL="2s") as here:
        begin(here)
        here.repo.rename(here.folder / "away")
        wait_for(lambda: here.status()["status"] == "error")
        here.engine.runtime.remove("web")
        wait_for(lambda: here.live("web") is not None)
        wait_for(lambda: here.status()["status"] == "error")
        assert failures(here) == ["RemoteUnreachable"]


def test_a_branch_that_is_missing_or_empty_changes_nothing(here: Installation) -> None:
    begin(here)
    here.git("branch", "-m", "main", "trunk")
    assert "BranchMissing" in here.sync()["error"]
    assert here.status()["status"] == "error"
    shutil.rmtree(here.repo / ".git")
    here.git("init", "-q", "-b", "main")
    assert "EmptyRepository" in here.sync()["error"]
    assert failures(here) == ["BranchMissing", "EmptyRepository"]
    assert running(here) == {"db": "1.0.0", "web": "1.0.0"}

    here.app("db", "2.0.0")  # a history that has nothing in common with the one before
    revision = here.commit()
    record = here.sync()
    assert (record["status"], record["revision"]) == ("synced", revision)
    assert running(here) == {"db": "2.0.0", "web": "1.0.0"}


def test_a_first_start_without_a_repository_says_so_and_begins_when_it_is_there(here: Installation) -> None:
    here.app("web")
    shutil.rmtree(here.repo / ".git")
    here.start()
    wait_for(lambda: here.status()["status"] == "error")
    here.git("init", "-q", "-b", "main")
    here.commit()
    assert here.sync()["status"] == "synced"
    assert running(here) == {"web": "1.0.0"}


def test_history_that_was_rewritten_is_followed(here: Installation) -> None:
    begin(here)
    first = here.git("rev-parse", "HEAD")
    here.app("web", "2.0.0", needs=("db",))
    here.git("add", "-A")
    here.git("commit", "-q", "--amend", "-m", "amended")
    assert here.sync()["revision"] == here.git("rev-parse", "HEAD") != first
    assert running(here) == {"db": "1.0.0", "web": "2.0.0"}

    here.git("reset", "-q", "--hard", first)
    record = here.sync()
    assert (record["status"], record["revision"]) == ("synced", first)
    assert running(here) == {"db": "1.0.0", "web": "1.0.0"}
    assert failures(here) == []


def test_without_its_apps_folder_a_repository_removes_nothing(here: Installation) -> None:
    begin(here)
    here.git("mv", "apps", "elsewhere")
    here.commit()
    here.sync()
    status = here.status()
    assert status["status"] == "degraded"
    assert {app["reason"] for app in status["apps"].values()} == {"AppsFolderMissing"}
    assert running(here) == {"db": "1.0.0", "web": "1.0.0"}

    here.git("mv", "elsewhere", "apps")
    here.commit()
    assert here.sync()["steps"] == []
    assert here.status()["status"] == "synced"
