"""URLs, refs and paths: what is let through can do no harm, and what people use is let through."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.addresses import (
    check_git_url,
    check_icon_url,
    check_index_url,
    check_ref,
    check_release_url,
    check_subdirectory,
)

CHECKS = (check_git_url, check_release_url, check_index_url, check_icon_url)


@pytest.mark.parametrize(
    "url",
    [
        "https://host/team/app.git",
        "https://user:token@host:8443/app.git",
        "http://127.0.0.1:3000/app",
        "ssh://git@host:22/app.git",
        "git@host:team/app.git",
        "host:app.git",
        "git://host/app",
        "file:///srv/git/app.git",
        "/srv/git/app.git",
    ],
)
def test_git_takes_the_usual_urls(url):
    assert check_git_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ext::sh -c x",
        "ext::sh",
        "fd::17",
        "-uhost:x",
        "--upload-pack=x",
        "ssh://-oProxyCommand=x/y",
        "https://host/a\nb",
        "https://host/a b",
        "https://host/\x00",
        "https:///app",
        "https://host:port/app",
        "ftp://host/app",
        "app",
        "../app",
        "file://host/app",
        "host:-x",
        "https://[::1/app",
        "https://host/" + "x" * 3000,
    ],
)
def test_git_refuses_what_could_do_harm(url):
    with pytest.raises(ValueError, match="must"):
        check_git_url(url)


def test_releases_come_over_https_or_from_a_file():
    assert check_release_url("https://host/a.whl")
    assert check_release_url("file:///srv/a.whl")
    for url in ("http://host/a.whl", "file:a.whl", "file://../a.whl", "/srv/a.whl", "https:a.whl"):
        with pytest.raises(ValueError, match=r"must (be a URL|name)"):
            check_release_url(url)


def test_an_index_may_be_plain_http_and_an_icon_no_script():
    assert check_index_url("http://127.0.0.1:8080/simple")
    with pytest.raises(ValueError, match="must be a URL"):
        check_icon_url("data:text/html,x")


@pytest.mark.parametrize("check", CHECKS)
@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=40) | st.from_regex(r"(https|ext|file|-)(:|::|://)[ -~]{0,20}", fullmatch=True))
def test_whatever_is_let_through_is_one_harmless_argument(check, text):
    try:
        url = check(text)
    except ValueError:
        return
    assert not url.startswith("-")
    assert not re.match(r"\w+::", url)
    assert not re.search(r"[\x00-\x20\x7f]", url)


def test_messages_never_repeat_a_password():
    for check in CHECKS:
        with pytest.raises(ValueError, match="must") as caught:
            check("ftp://user:s3cret@host/x y")
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("ref", ["main", "v1.2.3", "feature/x", "refs/tags/v1", "0123abc", "release-1.x"])
def test_refs_are_branches_tags_and_commits(ref):
    assert check_ref(ref) == ref


@pytest.mark.parametrize(
    "ref",
    ["", "-x", "--upload-pack=x", "a b", "a..b", "a~1", "a^", "a:b", "x*", "a\\b", "a@{1}", "/a", "a/", "a.lock", "@"],
)
def test_other_refs_are_refused(ref):
    with pytest.raises(ValueError, match="branch or tag"):
        check_ref(ref)


def test_a_subdirectory_stays_inside():
    assert check_subdirectory("services/web") == "services/web"
    assert check_subdirectory("services/web/") == "services/web"
    for path in ("", ".", "..", "../x", "a/../b", "/abs", "a//b", "a\\b", "-x", "a/.git/hooks", "a\0b", "./a"):
        with pytest.raises(ValueError, match="folder inside the repository"):
            check_subdirectory(path)
