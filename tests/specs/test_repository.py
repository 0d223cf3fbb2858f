"""The mirror against real repositories: what it fetches, what it reads, and what it survives."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import is_running, wait_for

from specs.git_command import GitTimeoutError
from specs.repository import (
    AppsFolderMissing,
    BranchMissing,
    EmptyRepository,
    Mirror,
    MirrorDamaged,
    RemoteUnreachable,
    RepositoryError,
    RevisionMissing,
    describe_remote,
)

FIRST = {"apps/web/app.yaml": "name: web\n", "apps/api/app.yaml": "name: api\n", "README.md": "hello\n"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def mirror(upstream, home: Path) -> Mirror:
    upstream.commit(FIRST, "first")
    return Mirror(str(upstream.folder), "main", home)


@pytest.fixture
def git_calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """The git commands run since it was asked last, seen by a `git` that stands before the real one on PATH."""
    log = tmp_path / "calls"
    log.touch()
    folder = tmp_path / "bin"
    folder.mkdir()
    wrapper = folder / "git"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{log}"\nexec "{shutil.which("git")}" "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def calls() -> list[str]:
        lines = log.read_text().splitlines()
        log.write_text("")
        return lines

    return calls


def contents(mirror: Mirror, revision: str) -> dict[str, bytes]:
    entries = mirror.tree(revision, "apps")
    blobs = mirror.read([entry.blob for entry in entries], 10**6)
    return {entry.path: blobs[entry.blob] for entry in entries}


def file_holding(mirror: Mirror, object_id: str) -> Path:
    """The file of one object, after the packs were taken apart so that each has one of its own."""
    for pack in list((mirror.path / "objects/pack").glob("*.pack")):
        away = pack.rename(mirror.path.parent.parent / pack.name)
        pack.with_suffix(".idx").unlink()
        with away.open("rb") as source:
            subprocess.run(["git", "--git-dir", mirror.path, "unpack-objects", "-q"], stdin=source, check=True)
    return mirror.path / "objects" / object_id[:2] / object_id[2:]


# -- what it fetches and reads


def test_first_fetch_makes_the_mirror_and_reads_the_apps(mirror: Mirror, home: Path) -> None:
    fetched = mirror.fetch()
    assert fetched.cloned
    assert not fetched.rebuilt
    assert fetched.revision == mirror.remote_revision()
    assert mirror.path.parent == home / "mirror"
    assert mirror.path.name.startswith("upstream-")
    assert mirror.path.suffix == ".git"
    assert contents(mirror, fetched.revision) == {
        "apps/api/app.yaml": b"name: api\n",
        "apps/web/app.yaml": b"name: web\n",
    }


def test_unchanged_remote_costs_one_git_call(mirror: Mirror, git_calls) -> None:
    known = mirror.fetch().revision
    git_calls()
    assert mirror.remote_revision() == known
    (call,) = git_calls()
    assert "ls-remote" in call


def test_the_url_is_not_among_the_arguments_that_others_can_see(mirror: Mirror, upstream, git_calls) -> None:
    mirror.fetch()
    commands = [call for call in git_calls() if "-c core.hooksPath" in call]
    assert len(commands) >= 3
    assert not [call for call in commands if str(upstream.folder) in call]


def test_next_fetch_brings_the_new_revision_and_what_changed(mirror: Mirror, upstream) -> None:
    old = mirror.fetch().revision
    new = upstream.commit({"apps/web/app.yaml": "name: web\nversion: '2'\n", "apps/api/app.yaml": None, "x": "y"})
    fetched = mirror.fetch()
    assert (fetched.revision, fetched.cloned, fetched.rebuilt) == (new, False, False)
    assert mirror.changed(old, new, "apps") == ["apps/api/app.yaml", "apps/web/app.yaml"]
    assert mirror.changed(new, new, "apps") == []
    assert mirror.has(old)
    assert list(contents(mirror, old)) == ["apps/api/app.yaml", "apps/web/app.yaml"]


def test_a_renamed_file_is_reported_under_both_names(mirror: Mirror, upstream) -> None:
    old = mirror.fetch().revision
    new = upstream.commit({"apps/web/app.yaml": None, "apps/site/app.yaml": "name: web\n"})
    mirror.fetch()
    assert mirror.changed(old, new, "apps/") == ["apps/site/app.yaml", "apps/web/app.yaml"]


def test_commit_and_log_tell_who_and_when(mirror: Mirror, upstream) -> None:
    first = mirror.fetch().revision
    second = upstream.commit({"a": "b"}, "Größe: two\n\nbody")
    mirror.fetch()
    commit = mirror.commit(second)
    assert (commit.revision, commit.author, commit.subject) == (second, "Ada", "Größe: two")
    assert commit.committed_at == float(upstream.git("show", "-s", "--format=%ct", second))
    assert [c.revision for c in mirror.log(second, 5)] == [second, first]
    assert [c.revision for c in mirror.log(second, 1)] == [second]


def test_escape_codes_in_a_commit_do_not_reach_the_terminal(mirror: Mirror, upstream) -> None:
    revision = upstream.commit({"a": "b"}, "red \x1b[31m alert")
    mirror.fetch()
    assert mirror.commit(revision).subject == "red  [31m alert"


def test_a_repository_with_sha256_ids_is_mirrored(git_user: None, tmp_path: Path, home: Path, upstream) -> None:
    other = type(upstream)(tmp_path / "modern", "--object-format=sha256")
    revision = other.commit(FIRST)
    mirror = Mirror(f"file://{other.folder}", "main", home)
    assert len(mirror.fetch().revision) == 64
    assert len(contents(mirror, revision)) == 2


def test_odd_paths_come_through_unharmed(mirror: Mirror, upstream) -> None:
    names = ["apps/a b/app.yaml", 'apps/"q"/app.yaml', "apps/ü/app.yaml", "apps/n\nl/app.yaml", "apps/:(top)x/app.yaml"]
    revision = upstream.commit(dict.fromkeys(names, "name: x\n"))
    mirror.fetch()
    assert set(names) < {entry.path for entry in mirror.tree(revision, "apps")}
    assert [e.path for e in mirror.tree(revision, "apps/:(top)x")] == ["apps/:(top)x/app.yaml"]


def test_links_and_submodules_are_listed_as_what_they_are(mirror: Mirror, upstream) -> None:
    (upstream.folder / "apps/web/passwords").symlink_to("/etc/passwd")
    upstream.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},apps/sub")
    upstream.git("add", "apps/web")
    upstream.git("commit", "--quiet", "--message", "links")
    entries = {entry.path: entry for entry in mirror.tree(mirror.fetch().revision, "apps")}
    link, module = entries["apps/web/passwords"], entries["apps/sub"]
    assert (link.mode, link.is_file) == ("120000", False)
    assert (module.mode, module.is_file, module.size) == ("160000", False, 0)
    assert mirror.read([link.blob], 1000) == {link.blob: b"/etc/passwd"}
    assert entries["apps/web/app.yaml"].is_file


def test_a_huge_file_is_never_read(mirror: Mirror, upstream, git_calls) -> None:
    revision = upstream.commit({"apps/big/app.yaml": "x" * 5_000_000, "apps/zero/app.yaml": ""})
    mirror.fetch()
    entries = {entry.path: entry for entry in mirror.tree(revision, "apps")}
    assert entries["apps/big/app.yaml"].size == 5_000_000
    big = entries["apps/big/app.yaml"].blob
    git_calls()
    assert mirror.read([big], 1_000_000) == {}
    assert [call for call in git_calls() if call.endswith("--batch --buffer")] == []
    read = mirror.read([entry.blob for entry in entries.values()], 1_000_000)
    assert read.keys() == {entry.blob for entry in entries.values()} - {big}
    assert read[entries["apps/zero/app.yaml"].blob] == b""


def test_thousands_of_files_are_read_by_two_git_calls(upstream, home: Path, git_calls) -> None:
    stream = ["commit refs/heads/main\ncommitter A <a@b> 0 +0000\ndata 0\n"]
    for number in range(3000):
        text = f"name: app{number}\n" + "# filler\n" * 30
        stream.append(f"M 100644 inline apps/app{number}/app.yaml\ndata {len(text)}\n{text}\n")
    upstream.git("fast-import", "--quiet", stdin="".join(stream))
    mirror = Mirror(str(upstream.folder), "main", home)
    entries = mirror.tree(mirror.fetch().revision, "apps")
    git_calls()
    blobs = mirror.read([entry.blob for entry in entries], 10_000)
    assert len(git_calls()) == 2
    assert len(blobs) == 3000
    assert all(blobs[e.blob].startswith(f"name: {e.path.split('/')[1]}\n".encode()) for e in entries)


def test_reading_nothing_and_one_thing_twice(mirror: Mirror, git_calls) -> None:
    entry = mirror.tree(mirror.fetch().revision, "apps")[0]
    git_calls()
    assert mirror.read([], 10) == {}
    assert git_calls() == []
    assert mirror.read([entry.blob, entry.blob], 100) == {entry.blob: b"name: api\n"}
    assert mirror.read([mirror.fetch().revision], 100) == {}, "a commit is no file"


# -- revisions


def test_resolve_knows_branches_tags_and_short_ids(mirror: Mirror, upstream) -> None:
    first = mirror.fetch().revision
    upstream.git("tag", "--annotate", "--message", "one", "v1")
    upstream.git("switch", "--quiet", "--create", "feature/x")
    feature = upstream.commit({"apps/new/app.yaml": "name: new\n"})
    upstream.git("switch", "--quiet", "main")
    second = upstream.commit({"b": "b"})
    assert mirror.resolve("HEAD") == first, "what was fetched"
    assert mirror.resolve("main") == second, "what the remote has"
    assert mirror.resolve("HEAD~1") == first
    assert mirror.resolve(first[:8]) == first
    assert mirror.resolve(first) == first
    assert mirror.resolve("v1") == first
    assert mirror.resolve("feature/x") == feature
    assert "apps/new/app.yaml" in contents(mirror, feature)


def test_resolve_follows_a_branch_that_moved(mirror: Mirror, upstream) -> None:
    for text in ("one", "two"):
        upstream.git("switch", "--quiet", "--force-create", "feature", "main")
        revision = upstream.commit({"a": text})
        assert mirror.resolve("feature") == revision


def test_resolve_works_before_the_first_fetch(mirror: Mirror) -> None:
    assert mirror.resolve("HEAD") == mirror.remote_revision()


@pytest.mark.parametrize(
    "text",
    ["nosuch", "", "-h", "--all", "a..b", "main:apps", "f" * 40, "dead", "x\ny", "a" * 300, "HEAD~99", "\0"],
)
def test_resolve_refuses_what_is_no_revision(mirror: Mirror, text: str) -> None:
    with pytest.raises(RevisionMissing, match="has no branch, tag or commit"):
        mirror.resolve(text)


def test_a_tag_on_a_file_is_no_revision(mirror: Mirror, upstream) -> None:
    upstream.git("tag", "odd", "HEAD:README.md")
    with pytest.raises(RevisionMissing, match="is no commit"):
        mirror.resolve("odd")


def test_a_revision_that_never_was_is_missing_and_rebuilds_nothing(mirror: Mirror) -> None:
    known = mirror.fetch().revision
    before = mirror.path.stat().st_ino
    assert not mirror.has("f" * 40)
    for call in (
        lambda: mirror.commit("f" * 40),
        lambda: mirror.tree("f" * 40, "apps"),
        lambda: mirror.changed("f" * 40, known, "apps"),
    ):
        with pytest.raises(RevisionMissing, match="ffffffffff"):
            call()
    assert mirror.path.stat().st_ino == before


@pytest.mark.parametrize("text", ["main", "", "--upload-pack=x", "HEAD", "abc", "F" * 40, "a" * 41])
def test_reading_takes_full_ids_only(mirror: Mirror, text: str) -> None:
    mirror.fetch()
    for call in (
        lambda: mirror.has(text),
        lambda: mirror.commit(text),
        lambda: mirror.tree(text, "apps"),
        lambda: mirror.changed(text, text, "apps"),
        lambda: mirror.read([text], 1),
    ):
        with pytest.raises(RevisionMissing, match="full id"):
            call()


# -- what the remote may do


def test_missing_branch_is_told_with_the_nearest_one(mirror: Mirror, upstream, home: Path) -> None:
    wrong = Mirror(str(upstream.folder), "mian", home)
    for call in (wrong.remote_revision, wrong.fetch):
        with pytest.raises(BranchMissing, match="has no branch 'mian'") as caught:
            call()
        assert "main" in caught.value.hint
    assert not wrong.path.exists()


def test_a_branch_that_only_ends_like_the_wanted_one_is_another(mirror: Mirror, upstream, home: Path) -> None:
    upstream.git("branch", "old/refs/heads/live")
    with pytest.raises(BranchMissing):
        Mirror(str(upstream.folder), "live", home).remote_revision()


def test_empty_repository_is_told_as_such(upstream, home: Path) -> None:
    mirror = Mirror(str(upstream.folder), "main", home)
    for call in (mirror.remote_revision, mirror.fetch):
        with pytest.raises(EmptyRepository, match="has no commits yet"):
            call()
    revision = upstream.commit(FIRST)
    assert mirror.fetch().revision == revision


def test_missing_apps_folder_is_an_error_and_not_an_empty_list(mirror: Mirror, upstream) -> None:
    revision = mirror.fetch().revision
    for folder in ("application", "README.md", "app"):
        with pytest.raises(AppsFolderMissing, match=folder) as caught:
            mirror.tree(revision, folder)
        assert "CELERIAC_APPS_DIR" in caught.value.hint


def test_remote_gone_keeps_the_mirror_and_back_goes_on(mirror: Mirror, upstream, tmp_path: Path) -> None:
    known = mirror.fetch().revision
    away = upstream.folder.rename(tmp_path / "away")
    for call in (mirror.remote_revision, mirror.fetch):
        with pytest.raises(RemoteUnreachable, match="cannot be reached") as caught:
            call()
        assert caught.value.hint
    assert len(contents(mirror, known)) == 2
    away.rename(upstream.folder)
    new = upstream.commit({"c": "c"})
    fetched = mirror.fetch()
    assert (fetched.revision, fetched.rebuilt) == (new, False)


def test_refused_connection_is_unreachable(git_user: None, home: Path) -> None:
    with pytest.raises(RemoteUnreachable):
        Mirror("http://127.0.0.1:1/x.git", "main", home).remote_revision()


def test_rewritten_history_is_followed_and_the_old_stays_readable(mirror: Mirror, upstream) -> None:
    upstream.commit({"apps/web/app.yaml": "name: web\nversion: '2'\n"})
    old = mirror.fetch().revision
    upstream.git("reset", "--quiet", "--hard", "HEAD~1")
    new = upstream.commit({"apps/web/app.yaml": "name: web\nversion: '3'\n"})
    fetched = mirror.fetch()
    assert (fetched.revision, fetched.rebuilt) == (new, False)
    assert mirror.changed(old, new, "apps") == ["apps/web/app.yaml"]
    assert b"'2'" in contents(mirror, old)["apps/web/app.yaml"]


def test_a_branch_deleted_at_the_remote_leaves_the_last_revision(mirror: Mirror, upstream) -> None:
    known = mirror.fetch().revision
    upstream.git("branch", "--move", "main", "trunk")
    with pytest.raises(BranchMissing, match="trunk"):
        mirror.fetch()
    assert len(contents(mirror, known)) == 2


def test_branch_that_takes_the_place_of_a_folder_of_branches(upstream, home: Path) -> None:
    upstream.commit(FIRST)
    upstream.git("branch", "a")
    Mirror(str(upstream.folder), "a", home).fetch()
    upstream.git("branch", "--delete", "a")
    upstream.git("branch", "a/b")
    assert Mirror(str(upstream.folder), "a/b", home).fetch().rebuilt


def test_only_the_wanted_branch_is_fetched(mirror: Mirror, upstream) -> None:
    upstream.git("tag", "v1")
    upstream.git("switch", "--quiet", "--create", "other")
    other = upstream.commit({"o": "o"})
    mirror.fetch()
    assert not mirror.has(other)
    refs = subprocess.run(["git", "--git-dir", mirror.path, "for-each-ref"], capture_output=True, text=True, check=True)
    assert [line.split("\t")[1] for line in refs.stdout.splitlines()] == ["refs/heads/main"]


def test_another_url_is_another_mirror_and_another_password_is_not(home: Path) -> None:
    one = Mirror("https://u:secret-1@example.org/team/conf.git", "main", home)
    assert one.path == Mirror("https://u:secret-2@example.org/team/conf.git", "main", home).path
    assert one.path != Mirror("https://example.org/other/conf.git", "main", home).path
    assert one.path.name.startswith("conf-")


# -- what the disk and the machine may do


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


# -- hostile values and secrets


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-oProxyCommand=touch x",
        "--upload-pack=touch x",
        "ext::sh -c touch% x",
        "EXT::sh",
        "fd::17",
        "ext://sh",
        "ftp://example.org/x",
        "https://example.org/x\n.git",
        "http::https://example.org",
    ],
)
def test_hostile_urls_are_refused_before_git_sees_them(url: str, home: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        Mirror(url, "main", home)
    assert caught.value.reason == "BadRepositoryUrl"


@pytest.mark.parametrize(
    "branch",
    [
        "",
        "-x",
        "--upload-pack=x",
        "a b",
        "a..b",
        "a:b",
        "a*",
        "a^",
        "a~1",
        "@",
        "a@{1}",
        "/a",
        "a/",
        "a//b",
        ".a",
        "x.lock",
        "a\n",
        "a\\b",
        "a[b",
        "a/.b",
        "a.",
    ],
)
def test_hostile_branches_are_refused_before_git_sees_them(branch: str, home: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        Mirror("https://example.org/x", branch, home)
    assert caught.value.reason == "BadBranchName"


@pytest.mark.parametrize("branch", ["+main", "release/1.0", "ü", "a'b", "$(touch)", "feature@2"])
def test_odd_but_legal_branches_work(upstream, home: Path, branch: str) -> None:
    revision = upstream.commit(FIRST)
    upstream.git("branch", "--", branch)
    mirror = Mirror(str(upstream.folder), branch, home)
    assert mirror.fetch().revision == revision
    assert mirror.resolve(branch) == revision


def test_hooks_in_the_users_template_do_not_run(mirror: Mirror, tmp_path: Path, upstream) -> None:
    hook = tmp_path / "template/hooks/reference-transaction"
    hook.parent.mkdir(parents=True)
    hook.write_text(f'#!/bin/sh\ntouch "{tmp_path}/ran"\n')
    hook.chmod(0o755)
    upstream.git("config", "--global", "init.templateDir", str(hook.parents[1]))
    upstream.git("config", "--global", "core.hooksPath", str(hook.parent))
    mirror.fetch()
    upstream.git("config", "--global", "--unset", "core.hooksPath")
    assert not (tmp_path / "ran").exists()


def test_no_password_is_ever_shown(git_user: None, home: Path) -> None:
    mirror = Mirror("http://ada:s3cret%21pw@127.0.0.1:1/x.git", "main", home)
    shown = [repr(mirror), str(mirror.path), describe_remote("https://ada:s3cret%21pw@example.org/x")]
    for call in (mirror.remote_revision, mirror.fetch, lambda: mirror.resolve("v1")):
        with pytest.raises(RemoteUnreachable) as caught:
            call()
        error: BaseException | None = caught.value
        while error is not None:
            shown += [str(error), repr(error), str(getattr(error, "text", ""))]
            error = error.__cause__
    assert not [text for text in shown if "s3cret" in text or "ada" in text]
    assert any("***@127.0.0.1:1" in text for text in shown)


def test_a_repository_of_another_user_is_told_with_the_remedy(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, upstream
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(RepositoryError, match="belongs to another user") as caught:
        mirror.fetch()
    assert caught.value.reason == "ForeignOwner"
    assert f"safe.directory '{upstream.folder}" in caught.value.hint


def test_scp_like_urls_go_through_ssh_which_can_ask_nobody(
    mirror: Mirror, upstream, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(
        f'#!/bin/sh\nif (: < /dev/tty) 2>/dev/null; then echo asked > "{tmp_path}/tty"; fi\n'
        f'printf "%s" "$SSH_ASKPASS_REQUIRE $GIT_TERMINAL_PROMPT" > "{tmp_path}/env"\n'
        'for last; do :; done\nexec sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    remote = Mirror(f"git@example.org:{upstream.folder}", "main", home)
    assert remote.fetch().revision == mirror.remote_revision()
    assert not (tmp_path / "tty").exists()
    assert (tmp_path / "env").read_text() == "never 0"


def test_started_from_a_git_hook_it_still_uses_its_own_repository(
    mirror: Mirror, upstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stray = type(upstream)(tmp_path / "stray")
    stray.commit({"apps/wrong/app.yaml": "name: wrong\n"})
    for name, path in {
        "GIT_DIR": ".git",
        "GIT_WORK_TREE": "",
        "GIT_INDEX_FILE": ".git/index",
        "GIT_OBJECT_DIRECTORY": ".git/objects",
    }.items():
        monkeypatch.setenv(name, str(stray.folder / path))
    monkeypatch.setenv("GIT_PREFIX", "apps/")
    assert set(contents(mirror, mirror.fetch().revision)) == {"apps/api/app.yaml", "apps/web/app.yaml"}
