"""Which files changed, and what they say."""

from __future__ import annotations

import pytest
from workbench import Workbench

from reconciler import parse
from reconciler.parse import blob_of, load_files, spec_files, unstaged, wanted_files
from specs.repository import TreeEntry


def entry(path: str, mode: str = "100644") -> TreeEntry:
    return TreeEntry(path=path, blob="b1", mode=mode, size=1)


def test_the_spec_files_are_those_right_below_the_apps_folder_in_their_order() -> None:
    paths = ["apps/a/config.toml", "apps/a/app.json", "apps/b/README.md", "apps/c/deep/app.yaml", "apps/app.yaml"]
    assert list(spec_files([entry(path) for path in paths], "apps")) == ["apps/a/app.json"]
    assert list(spec_files([entry("x/y/a/app.yml")], "x/y")) == ["x/y/a/app.yml"]


def test_a_link_is_never_taken_for_the_file_it_names() -> None:
    assert blob_of(entry("apps/a/app.yaml")) == "b1"
    assert blob_of(entry("apps/a/app.yaml", "120000")) == "b1:120000"


def test_only_what_changed_is_read_again(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        bench.app(name)
    bench.commit()
    bench.sync()
    bench.app("b", "2.0.0")
    bench.drop("c")
    bench.commit()
    asked: list[int] = []
    read = bench.engine.mirror.read
    monkeypatch.setattr(bench.engine.mirror, "read", lambda blobs, size: asked.append(len(blobs)) or read(blobs, size))
    bench.sync()
    assert asked == [1]
    assert {name: state["version"] for name, state in bench.status()["apps"].items()} == {"a": "1.0.0", "b": "2.0.0"}


def test_many_files_are_shared_out_and_planned_when_all_are_read(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse, "SHARE", 2)
    for name in "abcde":
        bench.app(name)
    bench.commit()
    bench.ask()
    run, _ = bench.until("parse")
    bench.step()
    assert [step.id for _, step in bench.sent] == ["parse#0", "parse#1", "parse#2"]
    bench.step()
    bench.step()
    assert bench.tasks() == ["parse"]
    bench.step()
    assert bench.tasks() == ["diff"]
    assert len(bench.engine.runs.staged(run)) == 5
    bench.work()
    assert sorted(bench.engine.runtime.current_state()) == list("abcde")
    start, stop = bench.events("parse.start")[0], bench.events("parse.stop")[0]
    assert start.extra == {"files": 5}
    assert (stop.result, stop.extra) == ("ok", {"apps": 5, "invalid": 0})


def test_a_share_that_is_read_twice_is_read_once(bench: Workbench) -> None:
    bench.app("web")
    revision = bench.commit()
    bench.engine.mirror.fetch()
    files, removed, found = wanted_files(bench.engine, revision, {"apps/old/app.yaml": "b0"})
    assert (removed, found) == (["apps/old/app.yaml"], True)
    assert load_files(bench.engine, files) == load_files(bench.engine, files)
    assert unstaged(parse.read_files(bench.engine, files)) == load_files(bench.engine, files)


def test_a_missing_apps_folder_is_noticed_and_removes_nothing(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    bench.sync()
    bench.git("mv", "apps", "elsewhere")
    revision = bench.commit()
    assert wanted_files(bench.engine, bench.engine.mirror.fetch().revision, {}) == ([], [], False)
    bench.sync()
    status = bench.status()
    assert (status["revision"], status["apps"]["web"]["reason"]) == (revision, "AppsFolderMissing")
    assert bench.live("web") is not None


def test_a_symbolic_link_is_an_invalid_app_and_is_not_followed(bench: Workbench) -> None:
    bench.app("good")
    (bench.repo / "secret.yaml").write_text('name: bad\nversion: "1.0"\n')
    (bench.repo / "apps" / "bad").mkdir()
    (bench.repo / "apps" / "bad" / "app.yaml").symlink_to("../../secret.yaml")
    bench.commit()
    bench.sync()
    apps = bench.status()["apps"]
    assert (apps["good"]["sync"], apps["bad"]["sync"]) == ("synced", "invalid")
    assert "symbolic link" in apps["bad"]["message"]


def test_a_file_that_is_too_large_is_an_invalid_app(bench: Workbench) -> None:
    bench.write("big", 'name: big\nversion: "1.0"\ndescription: "' + "x" * parse.MAX_BYTES + '"\n')
    bench.commit()
    bench.sync()
    assert "is larger than" in bench.status()["apps"]["big"]["message"]


def test_redis_holds_no_environment_and_the_vault_does(bench: Workbench) -> None:
    bench.app("web", TOKEN="hunter2")
    bench.commit()
    bench.sync()
    app = bench.engine.desired.app("web")
    assert app is not None
    spec = bench.engine.vault.get(app.digest)
    assert spec is not None
    assert spec.env == {"TOKEN": "hunter2"}
    assert "hunter2" not in repr(app)
