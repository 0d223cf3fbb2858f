"""An app from a Git repository."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sources import BadSource, BuildFailed, RefMissing, Unreachable, UnsafeArchive, build, read_manifest
from sources.git import Found, candidates, check_url, find_ref, git_environment, mirror_name
from specs.model import AppSpec, Source

LISTING = "\n".join(
    [
        "a" * 40 + "\trefs/tags/v1.0",
        "b" * 40 + "\trefs/tags/v1.0^{}",
        "c" * 40 + "\trefs/tags/1.0",
        "d" * 40 + "\trefs/heads/main",
        "e" * 40 + "\trefs/x/refs/tags/v2.0",
    ]
)


def _spec(repo: Path | str, version: str = "1.0", **source: str) -> AppSpec:
    return AppSpec("shop", version, source=Source(type="git", url=str(repo), **source))


def _says(release: Path) -> str:
    done = subprocess.run([release / "venv/bin/shop"], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("", ["refs/tags/v1.0", "refs/tags/1.0"]),
        ("main", ["refs/tags/main", "refs/heads/main"]),
        ("refs/heads/main", ["refs/heads/main"]),
        ("feature/a", ["refs/tags/feature/a", "refs/heads/feature/a"]),
    ],
)
def test_a_ref_is_a_tag_or_a_branch_and_by_default_the_versions_tag(ref: str, expected: list[str]) -> None:
    assert candidates(Source(type="git", ref=ref), "1.0") == expected


@pytest.mark.parametrize(
    "ref", ["-x", "--upload-pack=x", "a b", "a..b", "a:b", "*", "a^", "a~1", "/a", "a/", "a\n", "@"]
)
def test_what_cannot_be_a_ref_never_reaches_git(ref: str) -> None:
    with pytest.raises(BadSource):
        candidates(Source(type="git", ref=ref), "1.0")


def test_the_first_ref_that_exists_counts_and_an_annotated_tag_is_its_commit() -> None:
    assert find_ref(LISTING, ["refs/tags/v1.0", "refs/tags/1.0"]) == Found("b" * 40, "refs/tags/v1.0")
    assert find_ref(LISTING, ["refs/tags/v3", "refs/heads/main"]) == Found("d" * 40, "refs/heads/main")
    assert find_ref(LISTING, ["refs/tags/v2.0"]) is None
    assert find_ref("", ["refs/tags/v2.0"]) is None


@pytest.mark.parametrize("url", ["https://h/a.git", "ssh://git@h/a", "file:///a", "/srv/a.git", "git@h:team/a.git"])
def test_urls_that_are_fetched_from(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url", ["", "ext::sh -c x", "ext::sh", "http://h/a", "git://h/a", "-oProxyCommand=x", "a/b", "--x", "ssh://h/ a"]
)
def test_urls_that_are_not(url: str) -> None:
    with pytest.raises(BadSource):
        check_url(url)


def test_git_asks_nobody_reads_the_users_configuration_alone_and_finds_the_url_in_its_environment() -> None:
    env = git_environment(
        {
            "GIT_DIR": "/x",
            "GIT_CONFIG_GLOBAL": "/me/config",
            "GIT_SSH_COMMAND": "ssh -i key",
            "PATH": "/bin",
            "REDIS_URL": "redis://:pw@h",
        },
        "https://t@h/a",
    )
    assert "GIT_DIR" not in env
    assert "REDIS_URL" not in env
    assert env["GIT_SSH_COMMAND"] == "ssh -i key"
    assert env["GIT_TERMINAL_PROMPT"] == "0"
    assert env["GIT_CONFIG_GLOBAL"] == "/me/config"
    assert env["GIT_CONFIG_NOSYSTEM"] == "1"
    assert "GIT_CONFIG_GLOBAL" not in git_environment({}, "https://h/a")
    assert env["GIT_ALLOW_PROTOCOL"] == "https:ssh:file"
    pairs = {env[f"GIT_CONFIG_KEY_{n}"]: env[f"GIT_CONFIG_VALUE_{n}"] for n in range(int(env["GIT_CONFIG_COUNT"]))}
    assert pairs["remote.origin.url"] == "https://t@h/a"
    assert pairs["core.hooksPath"] == "/dev/null"
    assert pairs["transfer.fsckObjects"] == "true"


@pytest.mark.parametrize("tag", ["v1.0", "1.0"])
def test_the_tag_of_the_version_is_built(bench: Any, home: Path, tag: str) -> None:
    repo = bench.repository(bench.project(), tag=tag)
    commit = bench.git(repo, "rev-parse", "HEAD")
    bench.commit(repo, {"shop/__init__.py": "raise RuntimeError"})
    release = build(_spec(repo.as_uri()), home)
    assert "hello from shop" in _says(release)
    manifest = read_manifest(release)
    assert manifest is not None
    assert manifest.source == f"git {repo.as_uri()} {commit}"
    assert (manifest.distribution, manifest.entry_points) == ("shop", ("shop",))


def test_a_branch_is_built_as_it_is_now(bench: Any, home: Path) -> None:
    repo = bench.repository({"shop.py": "print(1)"})
    bench.git(repo, "checkout", "-q", "-b", "feature/x")
    first = build(_spec(repo, "1", ref="feature/x"), home)
    bench.commit(repo, {"shop.py": "print(2)"})
    second = build(_spec(repo, "2", ref="feature/x"), home)
    assert [(r / "src/shop.py").read_text() for r in (first, second)] == ["print(1)", "print(2)"]


def test_a_force_push_and_a_branch_in_the_place_of_another_are_followed(bench: Any, home: Path) -> None:
    repo = bench.repository({"shop.py": "1"})
    bench.git(repo, "branch", "topic")
    build(_spec(repo, "1", ref="topic"), home)
    bench.git(repo, "branch", "-D", "topic")
    bench.git(repo, "checkout", "-q", "--orphan", "topic/deeper")
    bench.commit(repo, {"shop.py": "2"})
    release = build(_spec(repo, "2", ref="topic/deeper"), home)
    assert (release / "src/shop.py").read_text() == "2"


@pytest.mark.parametrize("length", [40, 10])
def test_a_commit_is_built_by_its_id_even_when_no_branch_ends_there(bench: Any, home: Path, length: int) -> None:
    repo = bench.repository({"shop.py": "1"}, tag="v0")
    commit = bench.git(repo, "rev-parse", "HEAD")
    bench.commit(repo, {"shop.py": "2"})
    build(_spec(repo.as_uri(), "0", ref="main"), home)  # leaves a shallow mirror, which must be deepened
    bench.commit(repo, {"shop.py": "3"})
    release = build(_spec(repo.as_uri(), "1", ref=commit[:length]), home)
    assert (release / "src/shop.py").read_text() == "1"


@pytest.mark.parametrize(
    ("ref", "said"),
    [("", "tags/v1.0, tags/1.0"), ("nope", "tags/nope, heads/nope"), ("0123456789abcdef", "0123456789")],
)
def test_a_missing_ref_names_what_was_tried(
    bench: Any, home: Path, nothing_left: Callable[[str], None], ref: str, said: str
) -> None:
    repo = bench.repository({"shop.py": ""})
    with pytest.raises(RefMissing) as caught:
        build(_spec(repo.as_uri(), ref=ref), home)
    assert said in caught.value.message
    assert caught.value.retryable
    nothing_left("shop")


def test_a_tag_that_is_pushed_later_is_found_then(bench: Any, home: Path) -> None:
    repo = bench.repository({"shop.py": ""})
    with pytest.raises(RefMissing):
        build(_spec(repo), home)
    bench.git(repo, "tag", "v1.0")
    assert (build(_spec(repo), home) / "src/shop.py").exists()


def test_a_repository_that_cannot_be_reached_says_what_git_said(
    bench: Any, home: Path, tmp_path: Path, nothing_left: Callable[[str], None]
) -> None:
    with pytest.raises(Unreachable, match=r"does not exist|does not appear") as caught:
        build(_spec((tmp_path / "absent.git").as_uri()), home)
    assert caught.value.retryable
    nothing_left("shop")


def test_the_token_in_a_url_is_in_no_message_and_in_no_file(bench: Any, home: Path) -> None:
    spec = _spec("https://bob:s3cretpw@127.0.0.1:1/a.git")
    with pytest.raises(Unreachable) as caught:
        build(spec, home)
    assert "s3cretpw" not in str(caught.value) + repr(caught.value.output)
    assert "127.0.0.1:1" in str(caught.value)
    assert [p for p in home.rglob("*") if "s3cretpw" in p.name or (p.is_file() and b"s3cretpw" in p.read_bytes())] == []


def test_one_mirror_serves_all_releases_and_a_known_commit_needs_no_remote(bench: Any, home: Path) -> None:
    repo = bench.repository({"shop.py": "1"}, tag="v1.0")
    commit = bench.git(repo, "rev-parse", "HEAD")
    url = repo.as_uri()
    build(_spec(url), home)
    shutil.rmtree(repo)
    release = build(_spec(url, "2", ref=commit), home)
    assert (release / "src/shop.py").read_text() == "1"
    assert [p.name for p in (home / "cache/git").glob("*.git")] == [mirror_name(url)]


@pytest.mark.parametrize("damage", ["objects", "shallow.lock", "HEAD"])
def test_a_mirror_that_a_killed_git_left_is_mended(bench: Any, home: Path, damage: str) -> None:
    repo = bench.repository({"shop.py": "1"}, tag="v1.0")
    url = repo.as_uri()
    build(_spec(url), home)
    mirror = home / "cache/git" / mirror_name(url)
    if damage == "objects":
        for path in [p for p in (mirror / "objects").rglob("*") if p.is_file()]:
            path.chmod(0o600)
            path.write_bytes(b"junk")
    elif damage == "HEAD":
        (mirror / "HEAD").unlink()
    else:
        (mirror / damage).touch()
    bench.commit(repo, {"shop.py": "2"}, tag="v2.0")
    release = build(_spec(url, "2.0"), home)
    assert (release / "src/shop.py").read_text() == "2"


def test_a_subdirectory_is_installed(bench: Any, home: Path) -> None:
    repo = bench.repository(bench.project(prefix="services/shop/") | {"setup.py": "raise SystemExit(1)"}, tag="v1.0")
    assert "hello from shop" in _says(build(_spec(repo, subdirectory="services/shop/"), home))


@pytest.mark.parametrize("subdirectory", ["absent", "../..", "link", "shop.py"])
def test_a_subdirectory_that_is_not_in_the_repository_is_refused(
    bench: Any, home: Path, nothing_left: Callable[[str], None], subdirectory: str
) -> None:
    repo = bench.repository({"shop.py": "", "a/b": ""}, tag="v1.0")
    with pytest.raises(BadSource, match="no folder"):
        build(_spec(repo, subdirectory=subdirectory), home)
    nothing_left("shop")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret"])
def test_a_committed_link_out_of_the_tree_is_refused(
    bench: Any, home: Path, nothing_left: Callable[[str], None], target: str
) -> None:
    repo = bench.repository({"shop.py": ""})
    (repo / "link").symlink_to(target)
    bench.commit(repo, {}, tag="v1.0")
    with pytest.raises(UnsafeArchive, match="link"):
        build(_spec(repo), home)
    nothing_left("shop")


def test_submodules_are_left_out(bench: Any, home: Path) -> None:
    other = bench.repository({"evil.py": ""}, name="other")
    repo = bench.repository({"shop.py": ""})
    bench.git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", other.as_uri(), "sub")
    bench.commit(repo, {}, tag="v1.0")
    release = build(_spec(repo), home)
    assert not (release / "src/sub/evil.py").exists()
    assert (release / "src/shop.py").exists()


def test_hooks_and_filters_of_the_repository_do_not_run(bench: Any, home: Path, tmp_path: Path) -> None:
    repo = bench.repository({"shop.py": "", ".gitattributes": "* filter=evil\n"}, tag="v1.0")
    bench.git(repo, "config", "filter.evil.smudge", f"touch {tmp_path}/evil")
    build(_spec(repo.as_uri()), home)
    assert not (tmp_path / "evil").exists()


def test_a_version_that_comes_from_git_is_told_to_the_build_backend(bench: Any, home: Path) -> None:
    files = bench.project()
    table = 'dynamic = ["version"]\n[tool.setuptools_scm]\n'
    files["pyproject.toml"] = files["pyproject.toml"].replace('version = "1.0"\n', table)
    manifest = read_manifest(build(_spec(bench.repository(files, tag="v1.0")), home))
    assert manifest is not None
    assert (manifest.packages, manifest.distribution) == (("shop==1.0",), "shop")


def test_a_backend_that_fails_to_build_its_wheel_is_heard(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    files = bench.project() | {"backend.py": "def build_wheel(*a, **k):\n    raise RuntimeError('no such luck')\n"}
    files["pyproject.toml"] += "[tool.setuptools_scm]\n"
    with pytest.raises(BuildFailed) as caught:
        build(_spec(bench.repository(files, tag="v1.0")), home)
    assert any("no such luck" in line for line in caught.value.output)
    assert "build backend" in caught.value.message
    nothing_left("shop")
