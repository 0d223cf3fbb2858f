"""What an app's processes are, as commands with the release's own programs in them.

Nothing of the app is imported or run to find that out: programs are looked up in `venv/bin`, modules in
site-packages and `src`. `$NAME` in an argument stays as it is; the launcher replaces it.
"""

from __future__ import annotations

import re
from pathlib import Path

from sources.failure import NothingToRun
from sources.inventory import command, console_scripts, packages, runnable_module, site_packages
from sources.manifest import read_manifest
from specs.model import MAIN, AppSpec, Argv

# Servers that can host `module:callable`, in order of preference. Which of them serves what the callable turns out to
# be is for the host to say (`runtimes.host`): nothing of the app is imported here.
SERVERS = ("uvicorn", "granian", "gunicorn", "waitress", "hypercorn")

# Installed beside an app that brings none of them: it serves both ASGI and WSGI.
FALLBACK_SERVER = "hypercorn"


def resolve_processes(spec: AppSpec, release: Path) -> dict[str, Argv]:
    """The command of each process of `spec`, by process name, for the complete release folder `release`.

    A program that the release brings is given by its full path, `python` is the release's own, anything
    else is left to PATH. Raises NothingToRun when the spec names no command and none can be found.
    """
    release = release.absolute()
    found = {name: resolve_argv(argv, release) for name, argv in spec.run.processes.items()}
    if spec.run.app:
        found.setdefault(MAIN, _hosted(spec, release))
    return found or {MAIN: _default(spec, release)}


def resolve_argv(argv: Argv, release: Path) -> Argv:
    """One command (a process, a hook, a health check) with its program looked up in `release`."""
    if not argv or not argv[0]:
        raise NothingToRun("the command is empty", hint="set run.command")
    program, *rest = argv
    venv = release.absolute() / "venv"
    if re.fullmatch(r"python(3(\.\d+)?)?", program):
        return (str(venv / "bin" / "python"), *rest)
    own = command(venv, program)
    if own is not None:
        return (str(own), *rest)
    if "/" in program and not program.startswith("/"):
        source = release.absolute() / "src" / program
        if ".." not in Path(program).parts and source.is_file():
            return (str(source), *rest)
    return argv


def _default(spec: AppSpec, release: Path) -> Argv:
    venv = release / "venv"
    names = _names(spec)
    for name in names:
        script = command(venv, name)
        if script is not None and name not in {"python", "python3"}:
            return (str(script),)
    folders = [site_packages(venv), release / "src"]
    for name in names:
        module = name.replace("-", "_")
        if runnable_module(folders, module):
            return (str(venv / "bin" / "python"), "-m", module)
    manifest = read_manifest(release)
    brought = manifest.entry_points if manifest else console_scripts(venv, spec.source.package or spec.name)
    hint = f"it brings the commands {', '.join(brought)}: " if brought else ""
    raise NothingToRun(
        f"{spec.name} {spec.version} has no command named {' or '.join(names)} and no module to run by that name",
        hint=f"{hint}set run.command, run.processes or run.app",
    )


def _names(spec: AppSpec) -> list[str]:
    """What the console script or module may be called: like the app, like its package, with - or _."""
    names: list[str] = []
    for base in (spec.name, spec.source.package):
        names += [base, base.replace("_", "-"), base.replace("-", "_")]
    return list(dict.fromkeys(name for name in names if name))


def servers(release: Path) -> tuple[str, ...]:
    """The servers that a release (or one that is being built) brings, the preferred one first."""
    installed = packages(release / "venv")
    return tuple(name for name in SERVERS if name in installed)


def _hosted(spec: AppSpec, release: Path) -> Argv:
    """The host, with the servers that it may choose from. `$CELERIAC_HOST_PROGRAM` is replaced by the launcher."""
    names = list(servers(release))
    if not names:
        raise NothingToRun(
            f"{spec.name} {spec.version} brings no server that can run {spec.run.app}",
            hint=f"add one of {', '.join(SERVERS)} to its dependencies, or set run.command",
        )
    python = release / "venv" / "bin" / "python"
    return (str(python), "-P", "$CELERIAC_HOST_PROGRAM", "--servers", ",".join(names), spec.run.app)
