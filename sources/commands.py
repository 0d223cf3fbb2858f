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
from specs.model import AppSpec, Argv

MAIN = "main"

# Servers that can host `module:callable`, in order of preference: (distribution, program, kind, arguments).
_BIND = "127.0.0.1:$PORT"
_SERVERS: tuple[tuple[str, str, str, Argv], ...] = (
    ("uvicorn", "uvicorn", "asgi", ("--host", "127.0.0.1", "--port", "$PORT")),
    ("hypercorn", "hypercorn", "asgi", ("--bind", _BIND)),
    ("granian", "granian", "asgi", ("--interface", "asgi", "--host", "127.0.0.1", "--port", "$PORT")),
    ("gunicorn", "gunicorn", "wsgi", ("--bind", _BIND)),
    ("waitress", "waitress-serve", "wsgi", (f"--listen={_BIND}",)),
)


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


def _hosted(spec: AppSpec, release: Path) -> Argv:
    """The command that serves `run.app` on the app's private port, with a server that the app brings."""
    venv = release / "venv"
    installed = packages(venv)
    # ASGI servers come first, but a callable that says it is WSGI is not given to one of them.
    says_wsgi = "wsgi" in re.split(r"[.:_]", spec.run.app.lower())
    order = sorted(_SERVERS, key=lambda server: says_wsgi and server[2] != "wsgi")
    for distribution, program, _kind, arguments in order:
        script = command(venv, program)
        if script is not None:
            return (str(script), *arguments, spec.run.app)
        if distribution in installed:
            return (str(venv / "bin" / "python"), "-m", distribution, *arguments, spec.run.app)
    raise NothingToRun(
        f"{spec.name} {spec.version} brings no server that can run {spec.run.app}",
        hint=f"add one of {', '.join(server[0] for server in _SERVERS)} to its dependencies, or set run.command",
    )
