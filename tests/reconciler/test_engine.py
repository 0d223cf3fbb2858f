"""What every step works with: specs found again, releases built once, events told to everybody."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hosting import wheel_of
from workbench import Workbench

from celeriac.errors import CeleriacError
from reconciler.engine import Attending
from runtimes.base import RuntimeFailure
from specs.digest import digest
from specs.model import AppSpec, Run, Source
from state.events import Event


def wheel(folder: Path) -> AppSpec:
    """A spec whose source is a wheel on this disk."""
    path = folder / "shop-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("shop.py", "def main():\n    print('open')\n")
        archive.writestr("shop-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
        tags = "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr("shop-1.0.dist-info/WHEEL", tags)
        archive.writestr("shop-1.0.dist-info/entry_points.txt", "[console_scripts]\nshop = shop:main\n")
        archive.writestr("shop-1.0.dist-info/RECORD", "")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return AppSpec("shop", "1.0", source=Source(type="release", url=path.as_uri(), sha256=sha256), revision="abc")


def test_a_release_is_built_once_and_both_ends_are_told(bench: Workbench, tmp_path: Path) -> None:
    spec = wheel(tmp_path)
    bench.engine.attending = Attending()
    release = bench.engine.release(spec)
    start, stop = bench.told
    assert (start.name, start.app, start.node, start.revision) == ("build.start", "shop", "n1", "abc")
    assert (stop.name, stop.result) == ("build.stop", "ok")
    assert stop.duration is not None
    assert [phase for phase, _ in bench.engine.attending.phases] == ["fetching", "building"]
    assert bench.engine.release(spec) == release
    assert len(bench.told) == len(bench.events()) == 2


def test_a_server_that_was_installed_beside_an_app_is_told(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(wheel(tmp_path), run=Run(app="shop:main"))
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")
    for name in ("hypercorn", "h11", "h2", "hpack", "hyperframe", "priority", "wsproto"):
        wheel_of(name, tmp_path)
    bench.engine.release(spec)
    stop = bench.told[-1]
    assert (stop.name, stop.extra["server"]) == ("build.stop", "hypercorn")
    assert stop.extra["note"] == "it brings no server: hypercorn was installed beside it"


def test_a_build_that_fails_is_told_with_its_reason(bench: Workbench, tmp_path: Path) -> None:
    spec = wheel(tmp_path)
    (tmp_path / "shop-1.0-py3-none-any.whl").write_bytes(b"something else")
    with pytest.raises(CeleriacError):
        bench.engine.release(spec)
    assert [(event.name, event.result, event.error) for event in bench.told] == [
        ("build.start", "", ""),
        ("build.stop", "failed", "ChecksumMismatch"),
    ]


def test_what_a_runtime_tells_of_an_app_is_an_event_like_any_other(bench: Workbench) -> None:
    spec = AppSpec("shop", "1.0", revision="abc")
    bench.engine.runtime.context.tell("code.load", spec, {"module": "shop.cart"})
    (event,) = bench.told
    assert (event.name, event.app, event.node, event.revision) == ("code.load", "shop", "n1", "abc")
    assert event.extra == {"version": "1.0", "module": "shop.cart"}
    assert [one.name for one in bench.events()] == ["code.load"]


def test_a_spec_comes_from_the_vault_or_else_from_git_again(bench: Workbench) -> None:
    bench.app("web", TOKEN="hunter2")
    revision = bench.commit()
    bench.sync()
    wanted = bench.live("web").digest
    found = bench.engine.spec("web", wanted, revision)
    assert found is not None
    assert (found.env, found.revision) == ({"TOKEN": "hunter2"}, revision)
    for path in bench.engine.vault.folder.iterdir():
        path.unlink()
    assert bench.engine.spec("web", wanted, revision) == found
    assert bench.engine.vault.get(wanted) is not None
    assert bench.engine.spec("web", "another") is None
    assert bench.engine.spec("nobody", wanted.replace(wanted[0], "x")) is None


def test_another_node_without_a_mirror_reads_a_spec_from_git_itself(bench: Workbench, tmp_path: Path) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    wanted = bench.live("web").digest
    other = Workbench(tmp_path / "other", bench.engine.store.url, bench.engine.store.prefix, repo_url=str(bench.repo))
    found = other.engine.spec("web", wanted)
    assert found is not None
    assert str(digest(found)) == wanted
    other.engine.store.close()


def test_an_app_of_an_isolation_that_the_runtime_does_not_host_is_refused(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.engine.runtime, "isolations", frozenset({"process"}))
    assert bench.engine.runtime_for(AppSpec("web", "1.0")) is bench.engine.runtime
    with pytest.raises(RuntimeFailure) as caught:
        bench.engine.runtime_for(AppSpec("web", "1.0", isolation="embedded"))
    assert caught.value.reason == "IsolationUnavailable"


def test_an_event_goes_to_redis_and_to_every_listener_with_a_time(bench: Workbench) -> None:
    heard: list[Event] = []
    bench.engine.listeners.append(heard.append)
    bench.engine.emit(Event("node.up", node="n1"))
    assert heard == bench.told
    assert heard[0].time > 0
    assert [event.name for event in bench.events()] == ["node.up"]


def test_no_two_deliveries_have_one_owner(bench: Workbench) -> None:
    assert len({bench.engine.owner() for _ in range(100)}) == 100


def test_the_releases_that_were_last_in_force_are_kept_beside_the_newest(bench: Workbench, tmp_path: Path) -> None:
    import time

    from reconciler.ledger import Entry

    folder = bench.engine.settings.home / "apps" / "shop" / "releases"
    made = bench.engine.release(wheel(tmp_path))
    names = ["1.0-in-force", "1.1-before", "1.2-older", *(f"2.{number}-failed" for number in range(4))]
    for number, name in enumerate(names):
        copy = folder / name
        (copy / "venv").mkdir(parents=True)
        (copy / "venv" / "pyvenv.cfg").touch()
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + number))
        text = (made / "release.json").read_text()
        built_at = text.split('"built_at": "')[1].split('"')[0]
        (copy / "release.json").write_text(text.replace(built_at, at))
    for name in ("1.2-older", "1.1-before", "1.0-in-force"):
        bench.engine.ledger.add("shop", Entry(f"{name}-e-d", name, 0.0, release=name))
    bench.engine.forget_releases("shop", "1.0-in-force")
    kept = {path.name for path in folder.iterdir()}
    assert kept == {made.name, "2.3-failed", "2.2-failed", "1.0-in-force", "1.1-before", "1.2-older"}


def test_an_entry_without_its_release_is_found_by_its_spec(bench: Workbench, tmp_path: Path) -> None:
    from reconciler.ledger import Entry
    from specs.digest import release_id

    spec = wheel(tmp_path)
    entry = Entry(bench.engine.vault.put(spec), "1.0", 0.0)
    assert bench.engine.release_of(entry) == release_id(spec)
    assert bench.engine.release_of(Entry("0-1-2", "1.0", 0.0)) == ""
