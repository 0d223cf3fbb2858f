"""The mirror against real repositories: what it fetches and what it reads, and what the remote may do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from mirrors import FIRST, contents

from specs.repository import (
    AppsFolderMissing,
    BranchMissing,
    EmptyRepository,
    Mirror,
    RemoteUnreachable,
    RevisionMissing,
)

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
