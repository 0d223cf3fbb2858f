"""Which URLs, Git refs and paths inside a repository a spec may name.

Pure checks, used by `specs.schema`. What they let through is safe to hand to git, uv or an HTTP client as
one argument: no option in disguise, no transport that runs a program, no way out of the checkout.
Messages never repeat the URL, since it may hold a password.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_UNFIT = re.compile(r"[\x00-\x20\x7f\x80-\x9f\\\u2028\u2029\ud800-\udfff]")
_TRANSPORT_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
_SCP_LIKE = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!:)[^-].*")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]+")
_REF_UNFIT = re.compile(r"[\x00-\x20\x7f~^:?*\[\\\u2028\u2029\ud800-\udfff]|\.\.|@\{|//|\.lock(?:/|$)|/\.|[/.]$|^[-/.]")
_LONGEST_URL = 2000


def check_git_url(url: str) -> str:
    """`url` if git may be given it: https, http, ssh, git, file, `host:path` or an absolute path. Else ValueError."""
    _check_text(url)
    if _TRANSPORT_HELPER.match(url):
        raise ValueError("must not name a transport that runs a program (such as ext::)")
    if url.startswith("/"):
        return url
    if "://" in url:
        return _check_scheme(url, ("https", "http", "ssh", "git", "file"))
    if _SCP_LIKE.fullmatch(url):
        return url
    raise ValueError("must be a URL that git accepts, such as https://host/path.git or git@host:path.git")


def check_release_url(url: str) -> str:
    """`url` if a release may be fetched from it: https or file. Else ValueError."""
    _check_text(url)
    return _check_scheme(url, ("https", "file"))


def check_index_url(url: str) -> str:
    """`url` if it may be asked for packages: https, http or file. Else ValueError."""
    _check_text(url)
    return _check_scheme(url, ("https", "http", "file"))


def check_icon_url(url: str) -> str:
    """`url` if a browser may load a picture from it: https or http. Else ValueError."""
    _check_text(url)
    return _check_scheme(url, ("https", "http"))


def check_ref(ref: str) -> str:
    """`ref` if it can name a branch, tag or commit (the rules of git check-ref-format). Else ValueError."""
    if not ref or len(ref) > 255 or ref == "@" or _REF_UNFIT.search(ref):
        raise ValueError("must be the name of a branch or tag, or a commit")
    return ref


def check_subdirectory(path: str) -> str:
    """`path` if it leads to a folder inside the checkout. Else ValueError."""
    parts = path.removesuffix("/").split("/")
    if len(path) > 500 or re.search(r"[\x00-\x1f\x7f\\\ud800-\udfff]", path) or path.startswith("-"):
        raise ValueError("must be a folder inside the repository, such as services/web")
    if any(part in {"", ".", "..", ".git"} for part in parts):
        raise ValueError("must be a relative folder inside the repository, without `..`")
    return "/".join(parts)


def _check_text(url: str) -> None:
    if not url:
        raise ValueError("must not be empty")
    if url.startswith("-"):
        raise ValueError("must not start with a dash")
    if len(url) > _LONGEST_URL:
        raise ValueError(f"must be at most {_LONGEST_URL} characters long")
    if _UNFIT.search(url):
        raise ValueError("must not hold spaces, backslashes or control characters")


def _check_scheme(url: str, schemes: tuple[str, ...]) -> str:
    wanted = f"must be a URL with {_listed([f'{scheme}://' for scheme in schemes])}"
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in schemes or not url[len(parts.scheme) :].startswith("://"):
        raise ValueError(wanted)
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise ValueError("must name an absolute path, as in file:///srv/wheels/app.whl")
    elif not host or not _HOST.fullmatch(host):
        raise ValueError("must name a host")
    return url


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
