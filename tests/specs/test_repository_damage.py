"""The mirror when the disk fails, or a process dies half-way: told, and made whole again."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mirrors import contents, file_holding
from waiting import is_running, wait_for

from specs.git_command import GitTimeoutError
from specs.repository import (
    Mirror,
    MirrorDamaged,
    RemoteUnreachable,
    RepositoryError,
)


def _remove_objects(mirror: Mirror) -> None:
    shutil.rmtree(mirror.path / "objects")
    (mirror.path / "objects").mkdir()


def _only_a_folder(mirror: Mirror) -> None:
    shutil.rmtree(mirror.path)
    mirror.path.mkdir()


def _a_file_instead(mirror: Mirror) -> None:
    shutil.rmtree(mirror.path)
    mirror.path.write_text("not a folder")


def _no_blobs(mirror: Mirror) -> None:
    for entry in mirror.tree(mirror.resolve("HEAD"), "apps"):
        file_holding(mirror, entry.blob).unlink()


def _branch_at_nothing(mirror: Mirror) -> None:
    (mirror.path / "refs/heads/main").write_text("e" * 40 + "\n")


def _empty_branch(mirror: Mirror) -> None:
    (mirror.path / "refs/heads/main").write_text("")


DAMAGES = {
    "objects gone": _remove_objects,
    "blobs gone": _no_blobs,
    "empty folder": _only_a_folder,
    "file instead": _a_file_instead,
    "HEAD garbled": lambda mirror: (mirror.path / "HEAD").write_text("garbage"),
    "HEAD gone": lambda mirror: (mirror.path / "HEAD").unlink(),
    "config garbled": lambda mirror: (mirror.path / "config").write_text("[core\n\0"),
    "branch at nothing": _branch_at_nothing,
    "branch empty": _empty_branch,
    "lock left": lambda mirror: (mirror.path / "refs/heads/main.lock").write_text(""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_fetch_builds_a_damaged_mirror_anew(mirror: Mirror, upstream, damage: str) -> None:
    mirror.fetch()
    DAMAGES[damage](mirror)
    new = upstream.commit({"apps/web/app.yaml": "name: web\nversion: '2'\n"})
    fetched = mirror.fetch()
    assert (fetched.revision, fetched.cloned) == (new, False)
    assert fetched.rebuilt == (damage != "objects gone"), "git itself fetches all again where it finds nothing"
    assert len(contents(mirror, new)) == 2
    assert {path.suffix for path in mirror.path.parent.iterdir()} == {".git", ".lock"}


@pytest.mark.parametrize(
    "damage", [name for name in DAMAGES if name not in {"lock left", "branch empty", "branch at nothing"}]
)
def test_reading_a_damaged_mirror_repairs_it(mirror: Mirror, damage: str) -> None:
    revision = mirror.fetch().revision
    entries = mirror.tree(revision, "apps")
    DAMAGES[damage](mirror)
    assert len(mirror.read([entry.blob for entry in entries], 1000)) == 2
    assert mirror.tree(revision, "apps") == entries
    assert not mirror.fetch().rebuilt


def test_a_file_whose_content_rotted_is_found_when_read(mirror: Mirror) -> None:
    entry = mirror.tree(mirror.fetch().revision, "apps")[0]
    file = file_holding(mirror, entry.blob)
    file.chmod(0o600)
    file.write_bytes(b"rotten")
    assert mirror.read([entry.blob], 1000) == {entry.blob: b"name: api\n"}


def test_a_rotten_pack_is_found_when_read(mirror: Mirror, upstream) -> None:
    upstream.commit({f"apps/a{n}/app.yaml": f"name: a{n}\n" for n in range(120)})
    entries = mirror.tree(mirror.fetch().revision, "apps")
    (pack,) = (mirror.path / "objects/pack").glob("*.pack")
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:200] + b"\0" * 4000)
    assert len(mirror.read([entry.blob for entry in entries], 1000)) == len({e.blob for e in entries})


def test_damage_while_the_remote_is_away_is_told_and_repaired_later(mirror: Mirror, upstream, tmp_path: Path) -> None:
    revision = mirror.fetch().revision
    away = upstream.folder.rename(tmp_path / "away")
    _remove_objects(mirror)
    with pytest.raises(MirrorDamaged, match="nor be built anew"):
        mirror.tree(revision, "apps")
    with pytest.raises(RemoteUnreachable):
        mirror.fetch()
    away.rename(upstream.folder)
    assert mirror.fetch().revision == revision
    assert len(contents(mirror, revision)) == 2


def test_a_blob_that_nobody_has_is_damage_once_rebuilt(mirror: Mirror) -> None:
    mirror.fetch()
    with pytest.raises(MirrorDamaged, match="cannot read blobs"):
        mirror.read(["f" * 40], 10)


def test_litter_of_a_killed_build_is_no_hindrance(mirror: Mirror) -> None:
    parent = mirror.path.parent
    for suffix in (".new", ".old"):
        (parent / mirror.path.with_suffix(suffix).name / "objects").mkdir(parents=True)
    assert mirror.fetch().cloned
    assert sorted(path.suffix for path in parent.iterdir()) == [".git", ".lock"]


def test_a_home_that_cannot_be_written_is_told(mirror: Mirror, upstream, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryError, match="file") as caught:
        Mirror(str(upstream.folder), "main", tmp_path / "file").fetch()
    assert caught.value.reason == "MirrorUnwritable"


def _fetch_in_child(url: str, home: Path, barrier, results) -> None:
    barrier.wait(30)
    results.put(Mirror(url, "main", home).fetch())


def test_two_processes_that_fetch_at_once_make_one_mirror(mirror: Mirror, upstream, home: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(2), spawn.Queue()
    children = [
        spawn.Process(target=_fetch_in_child, args=(str(upstream.folder), home, barrier, results)) for _ in range(2)
    ]
    for child in children:
        child.start()
    fetched = [results.get(timeout=60) for _ in children]
    for child in children:
        child.join(30)
    assert sorted(one.cloned for one in fetched) == [False, True]
    assert not any(one.rebuilt for one in fetched)
    assert len({one.revision for one in fetched}) == 1


def test_a_fetcher_killed_half_way_takes_its_git_along_and_the_next_one_succeeds(
    mirror: Mirror, upstream, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "stuck"
    folder.mkdir()
    mark = tmp_path / "git.pid"
    wrapper = folder / "git"
    wrapper.write_text(
        '#!/bin/sh\ncase "$*" in *" fetch "*)\n'
        f'  echo $$ > "{mark}.tmp"; mv "{mark}.tmp" "{mark}"; exec sleep 600;;\nesac\n'
        f'exec "{shutil.which("git")}" "$@"\n'
    )
    wrapper.chmod(0o755)
    code = (
        "import sys, pathlib; from specs.repository import Mirror\n"
        "Mirror(sys.argv[1], 'main', pathlib.Path(sys.argv[2])).fetch()"
    )
    environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.Popen([sys.executable, "-c", code, str(upstream.folder), str(home)], env=environ)
    try:
        wait_for(mark.exists)
        stuck = int(mark.read_text())
        assert not mirror.path.exists()
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    wait_for(lambda: not is_running(stuck))
    assert mirror.fetch().cloned
    assert len(contents(mirror, mirror.resolve("HEAD"))) == 2


def test_a_git_that_hangs_is_ended_in_time(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = mirror.fetch().revision
    folder = tmp_path / "stuck"
    folder.mkdir()
    (folder / "git").write_text("#!/bin/sh\nsleep 600 & exec sleep 600\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    hasty = Mirror(str(tmp_path / "upstream"), "main", tmp_path / "home", timeout=0.2)
    for call in (hasty.remote_revision, hasty.fetch):
        with pytest.raises(RemoteUnreachable, match=r"stopped after 0\.2s"):
            call()
    with pytest.raises(GitTimeoutError):
        hasty.tree(revision, "apps")
