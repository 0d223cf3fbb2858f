"""The times that an app was killed for its memory: one small file each in `<home>/apps/<app>/run/.overruns`.

Written by whoever finds out first, the launcher that starts the app again or the look at the node; told to everybody
by the latter. A file is made once for one killed process, however many find out, and told at least once: `.json` until
it was told, `.told` after. What is left when somebody dies in between:

    before the link      a hidden file, which the next writer replaces; whoever finds out next writes it again
    before it is told    `.json`: told by the next look
    before the rename    told once more

The newest ten are kept, so that an app in a loop fills no disk. Standard library only: the launcher uses it.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import NamedTuple

from runtimes.limits import size_text

_KEPT = 10
_FOLDER = os.path.join("run", ".overruns")  # noqa: PTH118 - no process can be called that


class Overrun(NamedTuple):
    """One process that was killed. `by` is the mechanism, `at` when that was found out, in seconds since 1970."""

    process: str
    instance: str
    at: float
    limit: int
    by: str

    def __str__(self) -> str:
        return f"killed: over its memory limit of {size_text(self.limit)} ({self.by})"


def note(app_folder: str, overrun: Overrun) -> bool:
    """Remember `overrun`; whether that is news."""
    folder = os.path.join(app_folder, _FOLDER)  # noqa: PTH118
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
    path = _path(app_folder, overrun)
    if os.path.exists(f"{path}.told"):  # noqa: PTH110
        return False
    hidden = os.path.join(folder, f".{os.getpid()}")  # noqa: PTH118
    with open(hidden, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(overrun._asdict(), file)
    try:
        os.link(hidden, f"{path}.json")
    except FileExistsError:
        return False
    finally:
        os.unlink(hidden)  # noqa: PTH108
    _forget_old(app_folder)
    return True


def untold(app_folder: str) -> list[Overrun]:
    """Those that nobody was told of, oldest first."""
    return [overrun for overrun, told in _all(app_folder) if not told]


def known(app_folder: str) -> list[Overrun]:
    """All that are kept, told or not, oldest first."""
    return [overrun for overrun, _ in _all(app_folder)]


def of(app_folder: str, process: str, instance: str) -> Overrun | None:
    """That of one process, if it was killed."""
    return next((one for one, _ in _all(app_folder) if (one.process, one.instance) == (process, instance)), None)


def told(app_folder: str, overrun: Overrun) -> None:
    """Say that everybody was told of `overrun`."""
    path = _path(app_folder, overrun)
    with contextlib.suppress(FileNotFoundError):
        os.replace(f"{path}.json", f"{path}.told")  # noqa: PTH105


def _all(app_folder: str) -> list[tuple[Overrun, bool]]:
    folder = os.path.join(app_folder, _FOLDER)  # noqa: PTH118
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []
    found = []
    for name in names:
        if name.endswith((".json", ".told")):
            with contextlib.suppress(OSError, ValueError, TypeError):
                found.append((_read(os.path.join(folder, name)), name.endswith(".told")))  # noqa: PTH118
    return sorted(found, key=lambda one: one[0].at)


def _read(path: str) -> Overrun:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        return Overrun(**json.load(file))


def _forget_old(app_folder: str) -> None:
    for overrun, was_told in _all(app_folder)[:-_KEPT]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_path(app_folder, overrun) + (".told" if was_told else ".json"))  # noqa: PTH108


def _path(app_folder: str, overrun: Overrun) -> str:
    return os.path.join(app_folder, _FOLDER, f"{overrun.process}.{overrun.instance}")  # noqa: PTH118
