"""A folder of specs on disk, checked without Git, Redis or a network: `celeriac validate DIR`.

Reads what a sync of the same files would read, by the same rules (`loader`, `desired`), and reports all that is
wrong. Links are never followed: in a repository they are refused too.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from specs.desired import DesiredApp, assemble
from specs.document import MAX_BYTES, printable
from specs.loader import SPEC_FILES, Loaded, choose, load, summary
from specs.names import name_from_folder
from specs.problem import Problem

_NOT_FOLLOWED = "is a symbolic link; links are not followed"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a folder of specs says.

    `apps` holds every app by name, as a sync would see it; `problems` everything that is wrong, that of
    the apps included, in order of path and line.
    """

    apps: Mapping[str, DesiredApp]
    problems: tuple[Problem, ...]


class _UnreadableError(Exception):
    """A file that is there and cannot be used; says why. Never leaves this module."""


def check_directory(directory: Path, apps_dir: str = "apps") -> Checked:
    """Check the specs in `directory`: a checkout that holds the folder `apps_dir`, or that folder itself."""
    prefix = ""
    folder = directory
    if (directory / apps_dir).is_symlink():
        return Checked({}, (Problem(apps_dir, _NOT_FOLLOWED),))
    if (directory / apps_dir).is_dir():
        folder = directory / apps_dir
        prefix = f"{apps_dir}/"
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        return Checked({}, (Problem(str(directory), f"cannot be read: {(error.strerror or 'unknown').lower()}"),))
    problems: list[Problem] = []
    found: list[DesiredApp] = []
    for entry in entries:
        path = prefix + printable(entry.name)
        if entry.is_symlink():
            problems.append(Problem(path, _NOT_FOLLOWED))
        elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            found.extend(_read_app(Path(entry.path), entry.name, path, problems))
    if not found and not problems:
        problems.append(_nothing_here(directory, apps_dir, {entry.name for entry in entries}))
    apps = assemble(found)
    problems.extend(problem for app in apps.values() for problem in app.problems)
    problems.sort(key=lambda problem: (problem.path, problem.line == 0, problem.line, problem.column))
    return Checked(apps, tuple(problems))


def _read_app(folder: Path, name: str, shown: str, problems: list[Problem]) -> list[DesiredApp]:
    """The app in one folder, none when it holds no spec."""
    try:
        chosen = choose(os.listdir(folder))  # noqa: PTH208 - names are all that is wanted
    except OSError as error:
        problems.append(Problem(shown, f"cannot be read: {(error.strerror or 'unknown').lower()}"))
        return []
    if chosen is None:
        return []
    path = f"{shown}/{chosen}"
    try:
        blob = _read_file(folder / chosen)
        loaded = load(path, blob, name)
    except _UnreadableError as error:
        blob = b""
        loaded = Loaded(None, (Problem(path, str(error)),), name_from_folder(name), guessed=True)
    return [summary(loaded, path, hashlib.sha256(blob).hexdigest(), name)]


def _read_file(path: Path) -> bytes:
    """The content of a regular file, one byte more than is allowed at most. Raises _UnreadableError."""
    try:
        # A pipe in place of a file must not make us wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise _UnreadableError(_NOT_FOLLOWED) from error
        raise _UnreadableError(f"cannot be read: {(error.strerror or 'unknown').lower()}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _UnreadableError("is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _UnreadableError(f"cannot be read: {(error.strerror or 'unknown').lower()}") from error
    finally:
        os.close(descriptor)


def _nothing_here(directory: Path, apps_dir: str, names: set[str]) -> Problem:
    if choose(names) is not None:
        return Problem(str(directory), "is the folder of one app; validate the folder that holds all of them")
    wanted = f"{apps_dir}/NAME/{SPEC_FILES[0]} or NAME/{SPEC_FILES[0]}"
    return Problem(str(directory), f"holds no specs; expected {wanted}")
