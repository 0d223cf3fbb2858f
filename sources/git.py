"""A release from a Git repository: one ref is fetched into a bare mirror that all releases from this URL share,
written out with `git archive`, unpacked like any stranger's archive, and installed.

Commands and environment are pure functions. The URL, which may hold a token, travels in the environment and is
never an argument; no configuration, hook, submodule or protocol but https, ssh and file plays a part.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from celeriac import process
from sources.archive import unpack
from sources.failure import BadSource, BuildFailed, RefMissing, SourceFailure, Unreachable
from sources.lock import locked
from sources.masking import mask, secrets_of, shown_url
from sources.releases import discard
from sources.tree import install_tree
from sources.workshop import Workshop
from specs.model import AppSpec, Source

_KEPT = {"GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_CONFIG_GLOBAL"}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_BAD_REF = re.compile(r"^[-/.]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|[/.]$|\.lock$|^@$")
_SCP = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:(?!/?/)[^\s]+")
_ALL_REFS = ("+refs/heads/*:refs/fetched/heads/*", "+refs/tags/*:refs/fetched/tags/*")


@dataclass(frozen=True, slots=True)
class Found:
    """A ref of the remote (or a commit, when `ref` is empty) that will be built."""

    commit: str
    ref: str = ""


def git_environment(environ: Mapping[str, str], url: str) -> dict[str, str]:
    """The environment for git: hardened, asking nobody anything, with `origin` being `url`.

    The user's own configuration counts, as for the mirror: credential helpers and SSH settings work as usual.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if (not name.startswith("GIT_") or name in _KEPT)
        and not name.startswith("CELERIAC_")
        and name not in {"REDIS_URL", "SENTRY_DSN"}
    }
    constant = {
        "remote.origin.url": url,
        "core.hooksPath": "/dev/null",
        "transfer.fsckObjects": "true",
        "fetch.recurseSubmodules": "false",
        "gc.autoDetach": "false",
        "maintenance.autoDetach": "false",
        "protocol.version": "2",
    }
    for number, (key, value) in enumerate(constant.items()):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return kept | {
        "GIT_CONFIG_COUNT": str(len(constant)),
        "GIT_CONFIG_NOSYSTEM": environ.get("GIT_CONFIG_NOSYSTEM") or "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",  # not GIT_SSH_COMMAND, which would override the user's core.sshCommand
        "GIT_ALLOW_PROTOCOL": "https:ssh:file",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C",
    }


def candidates(source: Source, version: str) -> list[str]:
    """The full names of the refs that the spec may mean, in the order in which they are tried.

    Raises BadSource for what cannot be a ref's name.
    """
    if source.ref:
        names = [source.ref]
        refs = [f"refs/tags/{source.ref}", f"refs/heads/{source.ref}"]
        if source.ref.startswith("refs/"):
            refs = [source.ref]
    else:
        names = [f"v{version}", version]
        refs = [f"refs/tags/{name}" for name in names]
    for name in names:
        if not name or _BAD_REF.search(name):
            raise BadSource(f"{name!r} cannot be a branch, tag or commit", hint="check source.ref")
    return refs


def find_ref(listing: str, refs: Sequence[str]) -> Found | None:
    """The first of `refs` in the output of `git ls-remote`; an annotated tag counts as the commit it names."""
    known = {name: commit for commit, _, name in (line.partition("\t") for line in listing.splitlines())}
    for ref in refs:
        if ref in known:
            return Found(known.get(f"{ref}^{{}}", known[ref]), ref)
    return None


def mirror_name(url: str) -> str:
    """The folder of the mirror of `url`; tells nothing of it, since the URL may hold a token."""
    return f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.git"


def check_url(url: str) -> None:
    """Raises BadSource when `url` is none that is fetched from: https, ssh, file or an absolute path."""
    scheme = url.partition("://")[0] if "://" in url else ""
    allowed = scheme in {"https", "ssh", "file"} or (not scheme and (url.startswith("/") or _SCP.fullmatch(url)))
    if not allowed or re.search(r"[\x00-\x20]", url) or "::" in url.partition("/")[0]:
        raise BadSource(
            f"{shown_url(url)!r} is not a Git URL that is fetched from",
            hint="source.url takes https://, ssh://, file://, user@host:path or an absolute path",
        )


def fetch_and_install(spec: AppSpec, workshop: Workshop) -> tuple[str, str]:
    """Fetch, check out and install; return the installed distribution ("" for plain files) and the commit.

    Raises RefMissing, Unreachable, UnsafeArchive, ArchiveTooLarge, BuildFailed.
    """
    check_url(spec.source.url)
    refs = candidates(spec.source, spec.version)
    workshop.report("fetching")
    archive = workshop.scratch / "checkout.tar"
    commit = _Mirror(spec.source, workshop).write(refs, archive)
    checkout = workshop.scratch / "checkout"
    unpack(archive, checkout, check=workshop.check)
    archive.unlink()
    workshop.report("building")
    return install_tree(spec, workshop, _subdirectory(checkout, spec.source.subdirectory)), commit


class _Mirror:
    """The cached mirror of one URL."""

    def __init__(self, source: Source, workshop: Workshop) -> None:
        self._source = source
        self._workshop = workshop
        self._path = workshop.git_cache / mirror_name(source.url)
        self._shown = shown_url(source.url)
        self._secrets = secrets_of(source.url)
        self._env = git_environment(os.environ, source.url)

    def write(self, refs: Sequence[str], archive: Path) -> str:
        """Write the tree of the first of `refs` into the tar file `archive`; return the commit.

        A mirror that cannot be used is made anew, once: it is only a cache.
        """
        lock = self._path.with_suffix(".lock")
        with locked(lock, deadline=self._workshop.deadline, cancelled=self._workshop.cancelled):
            try:
                return self._write(refs, archive)
            except BuildFailed:
                discard(self._path)
                return self._write(refs, archive)

    def _write(self, refs: Sequence[str], archive: Path) -> str:
        self._prepare()
        commit = self._fetch(refs)
        self._git("archive", "--format=tar", f"--output={archive}", commit)
        return commit

    def _prepare(self) -> None:
        if not (self._path / "HEAD").is_file():
            discard(self._path)
            self._path.mkdir(mode=0o700)
            self._git("init", "--quiet", "--bare", "--template=", str(self._path), bare=False)
        for stale in (*self._path.glob("*.lock"), *self._path.glob("refs/**/*.lock")):
            stale.unlink()  # of a killed git: nobody else is in here while we hold our own lock

    def _fetch(self, refs: Sequence[str]) -> str:
        """Bring the wanted commit into the mirror; return its id."""
        wanted = self._source.ref
        if _COMMIT.fullmatch(wanted) and self._has(wanted):
            return wanted
        found = find_ref(self._ask(refs), refs)
        if found is not None and not self._has(found.commit):
            self._get("--depth=1", f"+{found.ref}:refs/fetched/{hashlib.sha256(found.ref.encode()).hexdigest()[:24]}")
            found = Found(self._parse("FETCH_HEAD"), found.ref)
        if found is not None:
            return found.commit
        if _SHORT_COMMIT.fullmatch(wanted):
            return self._fetch_commit(wanted)
        tried = ", ".join(ref.removeprefix("refs/") for ref in refs)
        raise RefMissing(
            f"{self._shown} has none of: {tried}",
            hint="push the tag, or set source.ref to a branch, tag or commit",
        )

    def _fetch_commit(self, wanted: str) -> str:
        """A commit by its id: alone where the server allows that, else with all branches and tags."""
        if _COMMIT.fullmatch(wanted):
            try:
                self._get("--depth=1", wanted)
            except SourceFailure:  # most servers give out branches and tags only, and then say no
                self._workshop.check()
            if self._has(wanted):
                return wanted
        shallow = self._git("rev-parse", "--is-shallow-repository").strip() == "true"
        self._get(*(["--unshallow"] if shallow else []), *_ALL_REFS)
        try:
            return self._parse(wanted)
        except BuildFailed:
            raise RefMissing(
                f"{self._shown} has no branch, tag or commit {wanted}",
                hint="only commits that a branch or tag leads to can be fetched",
            ) from None

    def _ask(self, refs: Sequence[str]) -> str:
        return self._remote("ls-remote", "--quiet", "origin", *refs, *(f"{ref}^{{}}" for ref in refs))

    def _get(self, *what: str) -> None:
        options = ("--quiet", "--no-tags", "--force", "--no-recurse-submodules", "--update-shallow")
        flags = [word for word in what if word.startswith("--")]
        self._remote("fetch", *options, *flags, "--", "origin", *(word for word in what if not word.startswith("--")))

    def _has(self, commit: str) -> bool:
        try:
            self._git("rev-list", "--quiet", "--max-count=1", "--objects", commit, "--")
        except BuildFailed:
            return False
        return True

    def _parse(self, name: str) -> str:
        return self._git("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}").strip()

    def _remote(self, *words: str) -> str:
        try:
            return self._git(*words)
        except BuildFailed as failure:
            if re.search(r"shallow|corrupt|bad object|loose object|unable to (?:create|write)", failure.message):
                raise
            raise Unreachable(
                f"{self._shown} cannot be fetched from: {failure.message}",
                output=failure.output,
                hint="check the URL, the credentials and that this node can reach it",
            ) from None

    def _git(self, *words: str, bare: bool = True) -> str:
        argv = ["git", *([f"--git-dir={self._path}"] if bare else []), *words]
        try:
            done = process.run(
                argv, timeout=self._workshop.remaining(), env=self._env, cancelled=self._workshop.cancelled
            )
        except process.CommandCancelledError:
            raise
        except process.CommandMissingError as error:
            raise SourceFailure(error.message, reason="GitMissing", hint="install git on this node") from None
        except process.CommandTimeoutError as error:
            raise Unreachable(f"{self._shown} did not answer in time: {error.message}") from None
        except process.CommandError as error:
            lines = [mask(line, self._secrets) for line in error.tail]
            said = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "ERROR"))]
            raise BuildFailed("; ".join(said or lines[-1:]) or mask(error.message), output=lines) from None
        return done.stdout


def _subdirectory(checkout: Path, subdirectory: str) -> Path:
    """The folder to install, which links may not lead out of the checkout."""
    folder = (checkout / subdirectory.strip("/")).resolve()
    if not folder.is_relative_to(checkout.resolve()) or not folder.is_dir():
        raise BadSource(f"the repository has no folder {subdirectory!r} at this ref", hint="check source.subdirectory")
    return folder
