"""One run of the system's git: constant options, a hardened environment, masked output.

`specs.repository` builds on it, and whoever else must talk to a repository. GitPython starts the
process and `celeriac.process` feeds, times and ends it, so a git dies with the worker that
started it. What is promised:

- the user's SSH keys, global configuration and credential helpers are in force, but nothing can
  ask a question: no terminal, no askpass
- hooks, remote helpers (`ext::`) and detached housekeeping are off, whatever the configuration says
- the remote's URL is handed over in the environment, not in the arguments that every user of
  the machine can see; no password is in any text that comes back
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from celeriac import process
from celeriac.errors import CeleriacError
from celeriac.settings import without_password

REMOTE = "celeriac-source"
"""The name by which arguments mean the `url` that `run_git` was given."""

PROTOCOLS = ("https", "http", "ssh", "git", "file")

_SCHEMES = {*PROTOCOLS, "git+ssh", "ssh+git"}
_HARMLESS_FAULTS = ("zeroPaddedFilemode", "missingSpaceBeforeDate", "badTimezone")  # of old, public history
_READS = frozenset({"cat-file", "diff-tree", "log", "ls-tree", "rev-parse"})
"""Commands that read a few objects of a repository on this disk."""

# Set where Celeriac is started from within a git hook: they would lead to another repository.
_STRAYS = (
    *("GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE"),
)
_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "credential.interactive=false",
    "fetch.fsckObjects=true",
    *(f"fetch.fsck.{fault}=ignore" for fault in _HARMLESS_FAULTS),
    "fetch.recurseSubmodules=false",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "i18n.logOutputEncoding=UTF-8",
    "color.ui=false",
    "log.showSignature=false",
    "log.mailmap=false",
)


class GitError(CeleriacError):
    """A git did not do its work, for whatever reason."""

    reason = "GitError"


class GitFailedError(GitError):
    """A git ran to its end and reports a failure. `text` is what it said, passwords masked."""

    reason = "GitFailed"

    def __init__(self, message: str, *, text: str) -> None:
        super().__init__(message)
        self.text = text


class GitMissingError(GitError):
    """No git is installed, or it cannot be started."""

    reason = "GitMissing"


class GitTimeoutError(GitError):
    """The git ran longer than it may and was killed."""

    reason = "GitTimeout"


def run_git(arguments: Sequence[str], *, git_dir: Path, timeout: float, url: str = "", stdin: bytes = b"") -> bytes:
    """Run `git ARGUMENTS` on the repository `git_dir` (which need not exist) and return its standard output.

    `url` becomes the remote REMOTE. Raises GitFailedError with what git said, GitTimeoutError,
    GitMissingError, or GitError when something killed it.
    """
    try:
        from git.cmd import Git  # costs 0.17 s, and looks for git when imported
        from git.exc import GitCommandNotFound
    except ImportError as error:
        raise _missing() from error
    strays = [part for name in _STRAYS if name in os.environ for part in ("-u", name)]
    command = [*(("env", *strays) if strays else ()), "git", *command_options(), *arguments]
    try:
        handle = Git().execute(
            command,
            istream=process.PIPE,
            as_process=True,
            env=environment(os.environ, git_dir, url),
            **process.child_options(brief=not url and arguments[0] in _READS),
        )
    except (GitCommandNotFound, OSError) as error:
        raise _missing() from error
    name = f"git {arguments[0]}"
    try:
        output, said = process.communicate(handle.proc, name=name, timeout=timeout, stdin=stdin)
    except process.CommandTimeoutError as error:
        raise GitTimeoutError(error.message) from None
    code = handle.proc.returncode
    if code in {-signal.SIGKILL, -signal.SIGTERM}:
        raise GitError(f"{name} was killed", hint="memory may be short; it is tried again")
    if code != 0:
        text = mask(said.decode("utf-8", "replace").strip(), url)
        raise GitFailedError(f"{name} ended with code {code}: {summary(text)}", text=text)
    return output


def command_options() -> list[str]:
    """The options that every git is given, before the command's name. Constant."""
    return [part for option in _OPTIONS for part in ("-c", option)]


def environment(inherited: Mapping[str, str], git_dir: Path, url: str = "") -> dict[str, str]:
    """What is laid over the environment `inherited` for a git on `git_dir` with the remote `url`. Pure.

    GIT_CONFIG_NOSYSTEM and GIT_ALLOW_PROTOCOL of the operator's own count, the latter
    only to allow less.
    """
    allowed = inherited.get("GIT_ALLOW_PROTOCOL", "").split(":")
    values = {
        "LC_ALL": "C",
        "GIT_DIR": str(git_dir),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        # Without a terminal (a session of its own) ssh then asks nothing, as with BatchMode. Setting
        # GIT_SSH_COMMAND for that would override the user's core.sshCommand.
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_CONFIG_NOSYSTEM": inherited.get("GIT_CONFIG_NOSYSTEM") or "1",
        "GIT_ALLOW_PROTOCOL": ":".join(p for p in PROTOCOLS if allowed == [""] or p in allowed) or "none",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
    }
    if url:
        count = inherited.get("GIT_CONFIG_COUNT", "")
        position = int(count) if count.isdecimal() else 0
        values |= {
            "GIT_CONFIG_COUNT": str(position + 1),
            f"GIT_CONFIG_KEY_{position}": f"remote.{REMOTE}.url",
            f"GIT_CONFIG_VALUE_{position}": url,
        }
    return values


def usable_url(url: str) -> str:
    """`url` as git is given it: a local path made absolute. Raises ValueError when it must not be given to git."""
    if not url or url.startswith("-") or re.search(r"[\x00-\x1f\x7f]", url):
        raise ValueError("is not a repository's URL")
    helper = re.match(r"([A-Za-z0-9+.-]+)::", url)
    if helper:
        raise ValueError(f"uses the remote helper {helper[1]!r}, which could run commands")
    scheme, separator, _ = url.partition("://")
    if separator:
        if scheme.lower() not in _SCHEMES:
            raise ValueError(f"uses {scheme}, which is none of {', '.join(PROTOCOLS)}")
        return url
    colon, slash = url.find(":"), url.find("/")
    if colon >= 0 and not 0 <= slash < colon:  # host:path, as scp takes it
        return url
    try:
        return str(Path(url).expanduser().absolute())
    except RuntimeError:
        raise ValueError(f"{url.split('/', 1)[0]} names the home folder of no known user") from None


def mask(text: str, url: str = "") -> str:
    """`text` without the user names and passwords of any URL in it, and without those of `url`."""
    if url:
        text = text.replace(url, without_password(url))
    for secret in _secrets(url):
        text = text.replace(secret, "***")
    return re.sub(r"(\w://)[^/\s'\"]*@", r"\1***@", text)


def summary(text: str) -> str:
    """The lines of git's `text` that say what is wrong, in one."""
    lines = [re.sub(r"^(fatal|error|remote): ?", "", line.strip()) for line in text.splitlines()]
    noise = re.compile(r"|Please make sure you have.*|and the repository exists\.|hint:.*|warning:.*|\d\d:\d\d:.*")
    telling = [line for line in lines if not noise.fullmatch(line)]
    return "; ".join(dict.fromkeys(telling[-4:]))[:600] or "it said nothing"


def _secrets(url: str) -> set[str]:
    """The parts of `url` to hide wherever they stand. Short ones would hide half of every text: not those."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return set()
    token = parts.username if parts.scheme in {"http", "https"} and not parts.password else ""
    password, token = parts.password or "", token or ""
    return {*(s for s in (password, unquote(password)) if len(s) >= 4), *(s for s in (token,) if len(s) >= 12)}


def _missing() -> GitMissingError:
    return GitMissingError(
        "git cannot be started", hint="install git 2.31 or newer and see that it is on the PATH of the worker"
    )
