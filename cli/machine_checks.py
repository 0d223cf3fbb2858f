"""The checks of this machine that need nothing to run: Python, git, uv, the home folder, the repository."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from celeriac.errors import CeleriacError
from celeriac.process import CommandError, CommandMissingError, run
from celeriac.settings import Settings, socket_path_fits, without_password
from cli.check import Check, fail, ok, warn
from cli.text import one_line

_OLDEST_PYTHON = (3, 11)
_OLDEST_GIT = (2, 30)
_LITTLE_SPACE = 500 * 2**20
_SOME_SPACE = 2 * 2**30


def python_version(settings: Settings) -> Check:
    """The interpreter that runs us."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _OLDEST_PYTHON:
        return fail("python", f"{found} is too old", "install Python 3.11 or newer")
    return ok("python", f"{found} ({sys.executable})")


def git(settings: Settings) -> Check:
    """The system's git, which does all that concerns repositories."""
    try:
        text = run(["git", "--version"], timeout=10).stdout.strip()
    except CommandMissingError:
        return fail("git", "is not installed", "install it with the system's package manager")
    match = re.search(r"(\d+)\.(\d+)", text)
    if match and (int(match[1]), int(match[2])) < _OLDEST_GIT:
        return warn("git", f"{text} is old", f"{'.'.join(map(str, _OLDEST_GIT))} or newer is what we test with")
    return ok("git", text)


def uv(settings: Settings) -> Check:
    """uv, which builds every release."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        return fail("uv", "is not installed", "install it beside Celeriac: it is one of its dependencies")
    try:
        return ok("uv", run([found, "--version"], timeout=10).stdout.strip())
    except CommandError as error:
        return fail("uv", error.message, "reinstall it: celeriac's dependencies are not complete")


def front(settings: Settings) -> Check:
    """Caddy, which keeps the public ports of apps that are exposed."""
    from runtimes.front_admin import FrontError, program, version

    try:
        found = program()
    except FrontError as error:
        return warn("caddy", error.message, error.hint)
    return ok("caddy", f"{'.'.join(map(str, version(str(found))))} ({found})")


def runtime(settings: Settings) -> Check:
    """What runs the apps can be imported."""
    from runtimes.registry import RuntimeChoiceError, find_runtime

    try:
        target, _ = find_runtime(settings.runtime)
    except RuntimeChoiceError as error:
        return fail("runtime", one_line(error.message), error.hint)
    return ok("runtime", settings.runtime if settings.runtime == target else f"{settings.runtime} ({target})")


def home(settings: Settings) -> Check:
    """The home folder takes files."""
    folder = settings.home
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    probe = folder / f".doctor.{os.getpid()}"
    try:
        probe.write_bytes(b"")
    except OSError as error:
        return fail(
            "home", f"{folder} cannot be written: {error.strerror}", "change its owner, or set CELERIAC_HOME to another"
        )
    probe.unlink()
    if folder.stat().st_mode & 0o022:
        return warn("home", f"{folder} can be written by other users", f"chmod go-w {folder}")
    return ok("home", str(folder))


def disk(settings: Settings) -> Check:
    """Room for releases and logs."""
    free = shutil.disk_usage(settings.home).free
    told = f"{free / 2**30:.1f} GiB free"
    advice = "make room, or keep fewer releases: CELERIAC_KEEP_RELEASES"
    if free < _LITTLE_SPACE:
        return fail("disk", told, advice)
    return warn("disk", told, advice) if free < _SOME_SPACE else ok("disk", told)


def sockets(settings: Settings) -> Check:
    """Unix sockets below the home folder have a short limit on their path."""
    longest = settings.home / "supervisor" / "supervisor.sock.4194304"
    if socket_path_fits(longest):
        return ok("sockets", "the home folder's path is short enough")
    return warn(
        "sockets",
        f"the path of {settings.home} is too long for Unix sockets",
        "it works, over loopback ports and the temporary folder; a shorter CELERIAC_HOME is better",
    )


def limits(settings: Settings) -> Check:
    """What holds apps to their limits: looked at from where their supervisor is, or, where none runs, from here."""
    from runtimes.cgroups import groups_of
    from runtimes.limits import place

    if settings.cgroups == "off":
        return ok("limits", "memory by rlimit and watching, cpus by affinity: CELERIAC_CGROUPS is off")
    supervisor = settings.home / "supervisor" / "supervisord.pid"
    pid = supervisor.read_text().strip() if supervisor.is_file() else ""
    groups = (groups_of(pid) if pid.isdigit() else []) or groups_of()
    places = [place("memory", groups), place("cpu", groups)]
    told = "memory by {}, cpus by {}".format(*(one.mechanism for one in places))
    why = "; ".join(dict.fromkeys(one.why for one in places if one.why))
    return ok("limits", f"{told} ({why})" if why else told)


def repository(settings: Settings) -> Check:
    """The repository answers, and has the branch."""
    if not settings.repo_url:
        return warn("repository", "none is set", "start with: celeriac up --repo URL")
    from specs.repository import Mirror

    shown = without_password(settings.repo_url)
    try:
        revision = Mirror(settings.repo_url, settings.branch, settings.home, timeout=20).remote_revision()
    except CeleriacError as error:
        return fail("repository", f"{shown}: {one_line(error.message)}", error.hint)
    return ok("repository", f"{shown} is at {revision[:9]} on {settings.branch}")


MACHINE_CHECKS: dict[str, Callable[[Settings], Check]] = {
    "python": python_version,
    "git": git,
    "uv": uv,
    "caddy": front,
    "runtime": runtime,
    "home": home,
    "disk": disk,
    "sockets": sockets,
    "limits": limits,
    "repository": repository,
}
"""By name, in the order in which they are shown."""
