"""The mirror against hostile values, foreign owners and strange surroundings; and no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from mirrors import FIRST, contents

from specs.repository import (
    Mirror,
    RemoteUnreachable,
    RepositoryError,
    describe_remote,
)


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
