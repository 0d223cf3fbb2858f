"""Turns a spec into a complete release folder, once: `<home>/apps/<app>/releases/<id>/{venv,release.json}`.

A release is complete or absent. It is built in a hidden sibling folder and renamed into place; whatever ends a build,
that folder goes, at the latest with the app's next build, which a lock per app keeps from running at the same time.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from celeriac import fingerprint
from sources import git, pypi, release
from sources.commands import FALLBACK_SERVER, servers
from sources.environments import make_venv
from sources.failure import BuildFailed
from sources.installer import install, uv_version
from sources.inventory import console_scripts, packages
from sources.lock import locked
from sources.manifest import Manifest, write_manifest
from sources.masking import shown_url
from sources.releases import complete, discard, release_dir, remove_leftovers
from sources.workshop import Workshop
from specs.digest import release_id
from specs.model import AppSpec


def build(
    spec: AppSpec,
    home: Path,
    *,
    report: Callable[[str], None] = lambda phase: None,
    cancelled: Callable[[], bool] = lambda: False,
    timeout: float = 900,
) -> Path:
    """The complete release folder of `spec` below `home`, built unless it is there already.

    `report` is told the phases fetching and building. May be called at the same time, and again after any kind of
    death. Raises a SourceFailure that says what happened, or CommandCancelledError when `cancelled` became true.
    """
    home = home.absolute()
    target = release_dir(home, spec.name, release_id(spec))
    if complete(target):
        return target
    deadline = time.monotonic() + timeout
    try:
        for folder in (home / "locks", home / "cache" / "uv", home / "cache" / "git"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with locked(home / "locks" / f"build-{spec.name}.lock", deadline=deadline, cancelled=cancelled):
            if not complete(target):  # another builder may have made it while we waited
                remove_leftovers(home, spec.name)
                discard(target)
                _build(spec, home, target, deadline=deadline, cancelled=cancelled, report=report)
    except OSError as error:
        raise BuildFailed(
            f"{spec.name} {spec.version}: the release cannot be written: {error}",
            hint="check the space on the disk and who owns the home folder",
            reason="DiskFailure",
            retryable=True,
        ) from error
    return target


def _build(
    spec: AppSpec,
    home: Path,
    target: Path,
    *,
    deadline: float,
    cancelled: Callable[[], bool],
    report: Callable[[str], None],
) -> None:
    folder = target.with_name(f".building-{target.name}-{os.getpid()}-{secrets.token_hex(4)}")
    folder.mkdir(mode=0o755)
    try:
        workshop = Workshop(home, folder, deadline=deadline, cancelled=cancelled, report=report)
        distribution, source, server = _fill(spec, workshop)
        aside = target.with_name(f".{target.name}.damaged")  # see runtimes.releases
        if _has_damage_of(aside, folder):
            with locked(_cache_lock(home), deadline=deadline, cancelled=cancelled):  # when nobody builds from it
                discard(workshop.uv_cache)  # releases share their files with it, so it is damaged, too
            discard(folder)
            folder.mkdir(mode=0o755)
            distribution, source, server = _fill(spec, workshop)
        (workshop.venv / ".lock").unlink(missing_ok=True)  # uv's own, writable for all
        discard(folder / ".scratch")
        workshop.check()
        fingerprint.write(folder)
        write_manifest(folder, _manifest(spec, workshop, target.name, distribution, source, server))
        folder.rename(target)
        _sync(target.parent)
        discard(aside)
    finally:
        discard(folder)


def _fill(spec: AppSpec, workshop: Workshop) -> tuple[str, str, str]:
    """Make and fill the environment; its distribution, what the source was, and the server that was put beside it."""
    lock = _cache_lock(workshop.home)
    with locked(lock, deadline=workshop.deadline, cancelled=workshop.cancelled, shared=True):
        return *_install(spec, workshop), _install_server(spec, workshop)


def _cache_lock(home: Path) -> Path:
    """Held shared by who builds from uv's cache, alone by who discards it."""
    return home / "locks" / "uv-cache.lock"


def _has_damage_of(damaged: Path, folder: Path) -> bool:
    """Whether `folder` got a file that was changed in the release `damaged`: then it came so from uv's cache."""
    for path in fingerprint.changed(damaged, most=1000):
        with contextlib.suppress(OSError):
            if not (damaged / path).is_symlink() and (damaged / path).samefile(folder / path):
                return True
    return False


def _install(spec: AppSpec, workshop: Workshop) -> tuple[str, str]:
    """Make the environment and install the app; return its distribution and what the source was."""
    source = spec.source
    if source.type == "pypi":
        wanted = pypi.requirement(spec)
        workshop.report("fetching")
        make_venv(workshop)
        index = f" from {shown_url(source.index_url)}" if source.index_url else ""
        return pypi.fetch_and_install(spec, workshop), f"pypi {wanted}{index}"
    make_venv(workshop)
    if source.type == "git":
        distribution, commit = git.fetch_and_install(spec, workshop)
        return distribution, f"git {shown_url(source.url)} {commit}"
    return release.fetch_and_install(spec, workshop), f"release {shown_url(source.url)} sha256:{source.sha256.lower()}"


def _install_server(spec: AppSpec, workshop: Workshop) -> str:
    """Put a server beside a hosted app that brings none; its name, or nothing where none is needed."""
    if not spec.run.app or servers(workshop.folder):
        return ""
    title = f"{spec.name} {spec.version}: {FALLBACK_SERVER}, since it brings no server for {spec.run.app}"
    install(workshop, FALLBACK_SERVER, title=title, package=FALLBACK_SERVER, index_url=spec.source.index_url)
    return FALLBACK_SERVER


def _manifest(spec: AppSpec, workshop: Workshop, name: str, distribution: str, source: str, server: str) -> Manifest:
    return Manifest(
        app=spec.name,
        version=spec.version,
        release=name,
        source=source,
        built_at=datetime.now(UTC),
        python=platform.python_version(),
        uv=uv_version(),
        distribution=distribution,
        entry_points=console_scripts(workshop.venv, distribution) if distribution else (),
        server=server,
        packages=tuple(f"{package}=={version}" for package, version in packages(workshop.venv).items()),
    )


def _sync(folder: Path) -> None:
    """See that the folder's new entry is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
