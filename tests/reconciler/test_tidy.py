"""What a node may forget, and what it must not."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from workbench import Workbench

from reconciler.ledger import Entry
from reconciler.tidy import tidy
from sources.manifest import Manifest, write_manifest
from specs.digest import digest
from specs.model import AppSpec
from state.desired import Head
from state.holds import Hold


def release(bench: Workbench, app: str, age: float) -> Path:
    folder = bench.engine.settings.home / "apps" / app / "releases" / "1.0-0"
    (folder / "venv").mkdir(parents=True)
    (folder / "venv" / "pyvenv.cfg").touch()
    manifest = Manifest(
        app=app, version="1.0", release=folder.name, source="pypi", built_at=datetime.now(UTC), python="3.11", uv="0"
    )
    write_manifest(folder, manifest)
    bench.engine.ledger.add(app, Entry("r1-e1-d1", "1.0", 1.0))
    app_folder = folder.parent.parent
    then = time.time() - age
    os.utime(app_folder, (then, then))
    return folder


def again(bench: Workbench) -> None:
    (bench.engine.settings.home / "tidied").unlink(missing_ok=True)


def test_releases_of_a_removed_app_go_after_their_grace_and_its_ledger_with_them(bench: Workbench) -> None:
    bench.app("wanted")
    bench.commit()
    bench.sync()
    old, young = release(bench, "old", 7200), release(bench, "young", 10)
    running, wanted = release(bench, "running", 7200), release(bench, "wanted", 7200)
    tidy(bench.engine, ["running"])
    assert [path.exists() for path in (old, young, running, wanted)] == [False, True, True, True]
    assert not bench.engine.ledger.has("old")
    assert bench.engine.ledger.has("young")


def test_it_is_done_only_now_and_then(bench: Workbench) -> None:
    tidy(bench.engine, [])
    old = release(bench, "old", 7200)
    tidy(bench.engine, [])
    assert old.exists()
    again(bench)
    tidy(bench.engine, [])
    assert not old.exists()


def test_a_folder_that_is_no_apps_is_left_alone(bench: Workbench) -> None:
    strange = bench.engine.settings.home / "apps" / "Not.An.App"
    strange.mkdir(parents=True)
    tidy(bench.engine, [])
    assert strange.exists()


def parsed(bench: Workbench, age: float) -> dict[str, str]:
    """A desired app, one in a ledger, one held, one that nothing names: their digests."""
    bench.app("web")
    bench.commit()
    bench.sync()
    head = bench.engine.desired.head()
    assert head is not None
    _put(bench, replace(head, parsed_at=head.parsed_at - age))
    found = {}
    for name in ("ledger", "held", "nobody"):
        spec = AppSpec(name, "1.0")
        found[name] = str(digest(spec))
        bench.engine.vault.put(spec)
    bench.engine.ledger.add("ledger", Entry(found["ledger"], "1.0", 1.0))
    bench.engine.holds.hold(Hold("held", found["held"]))
    found["web"] = bench.live("web").digest
    return found


def _put(bench: Workbench, head: Head) -> None:
    bench.engine.desired.write(head, {}, bench.engine.desired.apps())


@pytest.mark.parametrize("age", [0.0, 7200.0])
def test_specs_that_nothing_names_are_forgotten_once_the_desired_state_is_not_new(bench: Workbench, age: float) -> None:
    found = parsed(bench, age)
    again(bench)
    tidy(bench.engine, ["web"])
    left = {name for name, text in found.items() if bench.engine.vault.get(text) is not None}
    assert left == (set(found) if not age else set(found) - {"nobody"})


def test_while_a_run_is_open_no_spec_is_forgotten(bench: Workbench) -> None:
    found = parsed(bench, 7200.0)
    bench.ask()
    again(bench)
    tidy(bench.engine, ["web"])
    assert bench.engine.vault.get(found["nobody"]) is not None


def test_what_an_open_run_may_bring_back_is_left_until_it_is_over(bench: Workbench) -> None:
    old = release(bench, "old", 7200)
    bench.commit()
    bench.ask()
    tidy(bench.engine, [])
    assert old.exists()
    bench.work()
    tidy(bench.engine, [])
    assert not old.exists()
