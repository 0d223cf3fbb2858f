"""uv: makes virtual environments and installs into them. Commands, environment and the reading of uv's errors are
pure functions; `run_uv` runs it.

Credentials of an index are handed over in the environment, never as an argument that `ps` shows.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from packaging.utils import canonicalize_name

from celeriac import process
from sources.failure import BuildFailed, SourceFailure, Unreachable, VersionMissing
from sources.masking import mask, secrets_of
from sources.releases import BUILD_MARK
from sources.workshop import Workshop

# Of the environment uv starts with: what would make it act on another environment than ours, and what is ours alone
# (a build backend is foreign code, and needs no Redis password).
_DROPPED = {
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PROJECT",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
    "UV_TARGET",
    "UV_PREFIX",
    "UV_VENV_SEED",
    "REDIS_URL",
    "SENTRY_DSN",
    "COLUMNS",  # uv would wrap its sentences
}
_UNREACHABLE = re.compile(
    r"Failed to fetch|Failed to download|error sending request|Request failed after|dns error|tcp connect error"
    r"|Connection refused|Connection reset|timed out|network connectivity is disabled|HTTP status server error",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"valid authentication credentials|40[13] (?:Unauthorized|Forbidden)")
_MISSING = re.compile(r"there (?:is|are) no versions? of ([A-Za-z0-9._-]+)|([A-Za-z0-9._-]+) was not found in the")
_NOISE = re.compile(r"^(Using Python|Resolved|Prepared|Installed|Downloading|Downloaded|Building|Built|Uninstalled)\b")
_PLAN = re.compile(r"^\s*\+ ([A-Za-z0-9._-]+)==(\S+)")


@cache
def uv_version() -> str:
    """The version of the uv that builds."""
    return version("uv")


def base_python() -> str:
    """The interpreter that releases are made for: ours, without our own virtual environment around it."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def venv_argv(uv: str, venv: Path) -> list[str]:
    """The command that makes the environment; relocatable, since it is renamed once it is complete."""
    return [uv, "venv", "--quiet", "--no-project", "--relocatable", "--python", base_python(), str(venv)]


def install_argv(uv: str, venv: Path, *what: str) -> list[str]:
    """The command that installs `what`: requirements, files or options before them."""
    return [uv, "pip", "install", "--python", str(venv), *what]


def build_argv(uv: str, project: Path, wheels: Path) -> list[str]:
    """The command that builds the wheel of the folder `project` into the folder `wheels`."""
    return [uv, "build", "--wheel", "--python", base_python(), "--out-dir", str(wheels), str(project)]


def uv_environment(environ: Mapping[str, str], cache: Path, *, index_url: str = "") -> dict[str, str]:
    """The environment for uv: the user's proxies and indexes stay, our secrets and other environments do not."""
    kept = {k: v for k, v in environ.items() if k not in _DROPPED and not k.startswith("CELERIAC_")}
    kept |= {"UV_CACHE_DIR": str(cache), "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    kept.setdefault("UV_LINK_MODE", "hardlink")
    if "UV_CONFIG_FILE" not in kept:
        kept["UV_NO_CONFIG"] = "1"
    if index_url:
        kept.pop("UV_INDEX_URL", None)
        kept["UV_DEFAULT_INDEX"] = index_url
    return kept


def install(
    workshop: Workshop,
    *what: str,
    title: str,
    package: str = "",
    index_url: str = "",
    extra_env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> process.Completed:
    """Install `what` into `workshop.venv`. `title` names it in messages, `package` is the one asked for by name.

    Raises VersionMissing, Unreachable or BuildFailed with uv's own lines, and CommandCancelledError.
    """
    argv = install_argv(uv_binary(), workshop.venv, *what)
    return run_uv(workshop, argv, what=title, package=package, index_url=index_url, extra_env=extra_env or {}, cwd=cwd)


def build_wheel(workshop: Workshop, project: Path, *, title: str, extra_env: Mapping[str, str]) -> Path:
    """Build the wheel of `project`, with `extra_env` for its build backend alone; return its path.

    Raises Unreachable or BuildFailed with uv's own lines, and CommandCancelledError.
    """
    wheels = workshop.scratch / "wheels"
    run_uv(workshop, build_argv(uv_binary(), project, wheels), what=title, package="", extra_env=extra_env)
    for wheel in wheels.glob("*.whl"):
        return wheel
    raise BuildFailed(f"{title}: the build backend made no wheel")


def newest(done: process.Completed, package: str) -> str:
    """The version of `package` that a dry run of `install` would have installed; "" when it says none."""
    for line in done.tail:
        match = _PLAN.match(line)
        if match and canonicalize_name(match[1]) == canonicalize_name(package):
            return match[2]
    return ""


@cache
def uv_binary() -> str:
    """The path of uv's program. Raises BuildFailed when the wheel came without it."""
    import uv  # imported late: it looks around on disk, and only builds need it

    try:
        return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise BuildFailed(f"uv cannot be found: {error}", hint="install Celeriac's dependencies again") from error


def failure_of(lines: Sequence[str], *, what: str, package: str) -> SourceFailure:
    """What happened, from the last lines that uv printed (credentials masked already)."""
    output = [line for line in lines if not _NOISE.match(line.strip())]
    text = " ".join(" ".join(output).split())
    said = _said(output)
    if _REFUSED.search(text):
        return Unreachable(
            f"{what}: the package index refused access: {said}",
            output=output,
            hint="check the credentials in source.index_url or UV_DEFAULT_INDEX",
        )
    if "No solution found" in text:
        missing = {canonicalize_name(match[1] or match[2]) for match in _MISSING.finditer(text)}
        if package and canonicalize_name(package) in missing:
            return VersionMissing(f"{what}: {said}", output=output)
        return BuildFailed(f"{what}: {said}", output=output, reason="DependencyConflict", retryable=True)
    if _UNREACHABLE.search(text):
        return Unreachable(f"{what}: {said}", output=output, hint="the package index must be reachable from this node")
    return BuildFailed(f"{what}: {said}", output=output)


def _said(lines: Sequence[str]) -> str:
    """uv's `error:` line and the causes below it, in one sentence."""
    said = [m[1] for line in lines if (m := re.match(r"\s*(?:error|cause):\s*(.+)", line))]
    return ": ".join(said) if said else (lines[-1].strip() if lines else "uv failed and said nothing")


def run_uv(
    workshop: Workshop,
    argv: Sequence[str],
    *,
    what: str,
    package: str,
    index_url: str = "",
    extra_env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> process.Completed:
    """Run `argv`, a command of uv, for `what`, as messages name it. Raises a SourceFailure with uv's own lines."""
    environment = uv_environment(os.environ, workshop.uv_cache, index_url=index_url) | dict(extra_env or {})
    environment[BUILD_MARK] = str(workshop.folder)
    try:
        return process.run(
            argv,
            timeout=workshop.remaining(),
            env=environment,
            cwd=cwd,
            tail_lines=40,
            cancelled=workshop.cancelled,
            light=True,
        )
    except process.CommandCancelledError:
        raise
    except process.CommandError as error:
        urls = [value for name, value in environment.items() if name.startswith("UV_") and "://" in value]
        secrets = secrets_of(*(url for value in urls for url in value.split()))
        lines = [mask(line, secrets) for line in error.tail]
        if isinstance(error, process.CommandTimeoutError):
            raise BuildFailed(f"{what}: {error.message}", output=lines, reason="BuildTimeout", retryable=True) from None
        raise failure_of(lines, what=what, package=package) from None
