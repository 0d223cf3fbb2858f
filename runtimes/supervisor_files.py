"""The supervisor's folder of files: one per app, put in place together and put back when they are not taken.

Files of many apps that are added at once are loaded by one reload, since a reload reads them all: each writer leaves
`<app>.conf.new`, and whoever holds the supervisor's lock first takes all that wait. Used by `runtimes.supervisord`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtimes.files import write_atomic
from runtimes.sides import Side
from runtimes.supervisor_conf import app_conf, with_group
from runtimes.supervisor_rpc import CANNOT_REREAD, SupervisorError

_WAITING = ".conf.new"


@dataclass(frozen=True, slots=True)
class WantedApp:
    """What a new supervisor must know of an app: its processes, and whether they are to be started."""

    processes: tuple[str, ...]
    start: bool
    side: Side = "blue"


class ConfFolder:
    """`folder` holds what the supervisor of `home` runs; `apps` tells what that should be."""

    def __init__(self, home: Path, folder: Path, home_id: str, apps: Callable[[], Mapping[str, WantedApp]]) -> None:
        self.folder = folder
        self._home = home
        self._home_id = home_id
        self._apps = apps

    def path(self, app: str) -> Path:
        """The file of `app`."""
        return self.folder / f"{app}.conf"

    def text(self, app: str, processes: Iterable[str], side: Side = "blue") -> str:
        """What the file of `app` is to say of one generation. Raises SupervisorConfigError."""
        launcher = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")))
        return app_conf(self._home, app, processes, launcher=launcher, home_id=self._home_id, side=side)

    def beside(self, app: str, name: str, section: str) -> str:
        """The file of `app` as it is, with `section` for the group `name`."""
        return with_group(read_text(self.path(app)), name, section)

    def says(self, app: str, text: str) -> bool:
        """Whether the file of `app` is this."""
        return read_text(self.path(app)) == text

    def leave(self, app: str, text: str) -> Path:
        """Leave a new file of `app` for the next reload; the path is there until it has been read."""
        waiting = self._waiting(app)
        write_atomic(waiting, text.encode())
        return waiting

    def drop(self, app: str) -> None:
        """Remove the file of `app`, and one that waits."""
        self.path(app).unlink(missing_ok=True)
        self._waiting(app).unlink(missing_ok=True)

    def load(self, app: str, reload: Callable[[], object]) -> None:
        """Put every waiting file in place and have them read by `reload`; on a fault, only that of `app`; else none.

        A waiting file is removed after the reload, so one that is gone has been read. The supervisor's lock is held.
        """
        try:
            self._load(sorted(self.folder.glob(f"*{_WAITING}")), reload)
        except SupervisorError as error:
            if error.code != CANNOT_REREAD:
                raise
            self.write_all()  # somebody else's change may be what it does not take
            self._load([self._waiting(app)], reload)

    def write_all(self) -> None:
        """Make the folder of files hold what is applied, and nothing else but our own programs (`@…`).

        What others leave at this moment stays: they do that without the supervisor's lock.
        """
        wanted = {
            f"{app}.conf": with_group("", app, self.text(app, wish.processes, wish.side))
            for app, wish in self._apps().items()
        }
        for path in self.folder.iterdir():
            if path.name not in wanted and _WAITING not in path.name and not path.name.startswith("@"):
                path.unlink(missing_ok=True)
        for name, text in wanted.items():
            if read_text(self.folder / name) != text:
                write_atomic(self.folder / name, text.encode())

    def _load(self, waiting: Iterable[Path], reload: Callable[[], object]) -> None:
        before: dict[Path, bytes | None] = {}
        try:
            for new in waiting:
                path = new.with_suffix("")
                before[path] = path.read_bytes() if path.is_file() else None
                write_atomic(path, new.read_bytes())
            reload()
        except SupervisorError:
            for path, content in before.items():
                if content is None:
                    path.unlink(missing_ok=True)
                else:
                    write_atomic(path, content)
            raise
        for path in before:
            path.with_name(path.name + ".new").unlink(missing_ok=True)

    def _waiting(self, app: str) -> Path:
        return self.folder / f"{app}{_WAITING}"


def read_text(path: Path) -> str:
    """What is in a file; empty when it is absent or no text."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
