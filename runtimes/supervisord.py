"""The supervisor of one home folder: started when needed, told about groups, and never a cause of second copies.

It is nobody's child and outlives Celeriac. Its promises:

- Two workers start one supervisor: whoever holds `<home>/supervisor/lock` does, and it is looked for again
  under the lock. The same lock guards every change of its files.
- No app ever runs twice. Before a supervisor is started, whatever an earlier one left alive is ended; the new
  one starts nothing by itself (autostart is off); the launcher holds a lock per process besides.
- After its death the apps come back: `reviving` is written before anything is ended and removed after the last
  app was started, so a revival that is cut off is finished by the next `ensure_running`.
- Files of many apps that are added at once are loaded by one reload: a reload reads them all.
- A file that the supervisor does not take is put back as it was.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from celeriac.process import CommandError, start_daemon
from celeriac.settings import socket_path_fits
from runtimes import launch, strays
from runtimes.files import LockTimeoutError, locked, write_atomic
from runtimes.supervisor_conf import STOP_SECONDS, app_conf, check_home, daemon_conf
from runtimes.supervisor_rpc import (
    ALREADY_ADDED,
    ALREADY_STARTED,
    BAD_NAME,
    CANNOT_REREAD,
    NOT_RUNNING,
    ProcessInfo,
    SupervisorError,
    SupervisorGoneError,
    call,
    call_many,
    parse_info,
)

_START_LIMIT = 30.0
_LOCK_LIMIT = 180.0
_FILES = 8192

Group = Mapping[str, ProcessInfo]


@dataclass(frozen=True, slots=True)
class WantedApp:
    """What a new supervisor must know of an app: its processes, and whether they are to be started."""

    processes: tuple[str, ...]
    start: bool


def _no_apps() -> Mapping[str, WantedApp]:
    return {}


class Supervisor:
    """The supervisor of `home`. `apps` tells, when one must be started anew, what it is to run."""

    def __init__(self, home: Path, *, apps: Callable[[], Mapping[str, WantedApp]] = _no_apps) -> None:
        check_home(home)
        self.home = home
        self.folder = home / "supervisor"
        self.conf_folder = self.folder / "conf.d"
        self.pid_file = self.folder / "supervisord.pid"
        self.home_id = strays.home_id(home)
        self._apps = apps
        self._reviving = self.folder / "reviving"
        self._socket: Path | None = None

    # The daemon itself

    @property
    def socket(self) -> Path:
        """Where the supervisor listens: below the home folder, or in a private folder when that path is too long."""
        if self._socket is None:
            self._socket = self._choose_socket()
        return self._socket

    def running(self) -> bool:
        """Whether a supervisor answers. Starts none."""
        try:
            call(self.socket, "supervisor.getState", timeout=10.0)
        except SupervisorGoneError:
            return False
        return True

    def ensure_running(self) -> None:
        """Have a supervisor that answers; after the death of one, end its strays and bring its apps back.

        Raises SupervisorError.
        """
        if not self._reviving.exists() and self.running():
            return
        with self._lock():
            if not self.running():
                self._reviving.touch()
                self._end_daemons()
                self._end_strays()
                self._start()
            if self._reviving.exists():
                self._revive()

    def shutdown(self, *, stop_apps: bool = True) -> None:
        """Stop every app and then the supervisor. Without `stop_apps` both are left as they are.

        All are asked to stop at once: the supervisor's own way takes about a second for each.
        """
        if not stop_apps or not self.folder.is_dir():
            return
        with self._lock():
            try:
                living = strays.descendants(info.pid for info in self._all() if info.pid)
                call(self.socket, "supervisor.stopAllProcesses", False, timeout=120.0)
                self._wait_stopped(self._all)
                strays.end([process for process in living if strays.is_alive(process)], grace=1.0)
                call(self.socket, "supervisor.shutdown")
            except SupervisorGoneError:
                pass  # then there are strays at most
            self._end_daemons()
            self._end_strays()
            self._reviving.unlink(missing_ok=True)

    # What it runs

    def processes(self) -> dict[str, dict[str, ProcessInfo]]:
        """Every process by app and name, in one call. Raises SupervisorGoneError."""
        found: dict[str, dict[str, ProcessInfo]] = {}
        for info in self._all():
            found.setdefault(info.app, {})[info.name] = info
        return found

    def group(self, app: str, names: Iterable[str]) -> dict[str, ProcessInfo]:
        """The processes `names` of `app`; one that the supervisor does not know is left out."""
        calls = [("supervisor.getProcessInfo", (f"{app}:{name}",)) for name in names]
        answers = call_many(self.socket, calls, ignore=(BAD_NAME,))
        return {info.name: info for info in (parse_info(raw) for raw in answers if raw is not None)}

    def put(self, app: str, processes: Iterable[str]) -> None:
        """Have a group `app` of exactly `processes`, stopped if it is new or changed. Cheap when it is there.

        Raises SupervisorError; the files are then as they were.
        """
        names = tuple(sorted(processes))
        text = self._conf(app, names)
        path = self.conf_folder / f"{app}.conf"
        if _read(path) == text and self.group(app, names).keys() == set(names):
            return
        self.stop(app)
        with contextlib.suppress(_Unknown):
            self._call_known("supervisor.removeProcessGroup", app)
        waiting = self.conf_folder / f"{app}.conf.new"
        write_atomic(waiting, text.encode())
        with self._lock():
            if waiting.exists():
                self._load(app)
        # Otherwise the one who held the lock before us loaded ours together with its own.
        with contextlib.suppress(_Unknown):
            self._call_known("supervisor.addProcessGroup", app, ignore=ALREADY_ADDED)
            return
        raise SupervisorError(f"the supervisor did not take the group of {app}")

    def start(self, app: str, names: Iterable[str]) -> None:
        """Ask for the processes `names` of `app` to be started; those that run are left alone."""
        calls = [("supervisor.startProcess", (f"{app}:{name}", False)) for name in names]
        call_many(self.socket, calls, ignore=(ALREADY_STARTED,))

    def stop(self, app: str) -> None:
        """Stop every process of `app` and whatever it left behind; return when nothing of it runs.

        They are asked first; after STOP_SECONDS the supervisor kills the group, and a little later we do.
        Raises SupervisorError when something survives even that.
        """
        try:
            names = tuple(self.processes().get(app, {}))
            infos = self.group(app, names)
            living = strays.descendants(info.pid for info in infos.values() if info.pid)
            calls = [("supervisor.stopProcess", (f"{app}:{name}", False)) for name in names]
            call_many(self.socket, calls, ignore=(NOT_RUNNING, BAD_NAME))
            self._wait_stopped(lambda: self.group(app, names).values())
        except SupervisorGoneError:
            living = []
        left = {process.pid: process for process in living if strays.is_alive(process)}
        left.update({process.pid: process for process in strays.find(self.home, app)})
        survivors = strays.end(list(left.values()), grace=1.0)
        if survivors:
            raise SupervisorError(f"{app}: process {survivors[0].pid} cannot be ended")

    def signal(self, app: str, names: Iterable[str], name: str) -> None:
        """Send the signal `name`, such as HUP, to the processes of `app` that run."""
        calls = [("supervisor.signalProcess", (f"{app}:{process}", name)) for process in names]
        call_many(self.socket, calls, ignore=(NOT_RUNNING,))

    def remove(self, app: str) -> None:
        """Stop `app` and forget its group. Unknown ones are fine, and so is no supervisor at all."""
        self.stop(app)
        if not self.folder.is_dir():
            return
        with self._lock():
            (self.conf_folder / f"{app}.conf").unlink(missing_ok=True)
            (self.conf_folder / f"{app}.conf.new").unlink(missing_ok=True)
            with contextlib.suppress(_Unknown, SupervisorGoneError):
                self._call_known("supervisor.removeProcessGroup", app)

    def has_conf(self, app: str) -> bool:
        """Whether there is a file for the group of `app`."""
        return (self.conf_folder / f"{app}.conf").is_file()

    # Inside

    def _load(self, app: str) -> None:
        """Put every waiting file in place and have the supervisor read them; on a fault, only ours; else none.

        A waiting file is removed after the reload, so one that is gone has been read. The lock is held.
        """
        waiting = sorted(self.conf_folder.glob("*.conf.new"))
        try:
            self._load_files(waiting)
        except SupervisorError as error:
            if error.code != CANNOT_REREAD:
                raise
            self._write_all_confs()  # somebody else's change may be what it does not take
            self._load_files([self.conf_folder / f"{app}.conf.new"])

    def _load_files(self, waiting: Iterable[Path]) -> None:
        before: dict[Path, bytes | None] = {}
        try:
            for new in waiting:
                path = new.with_suffix("")
                before[path] = path.read_bytes() if path.is_file() else None
                write_atomic(path, new.read_bytes())
            call(self.socket, "supervisor.reloadConfig", timeout=120.0)
        except SupervisorError:
            for path, content in before.items():
                if content is None:
                    path.unlink(missing_ok=True)
                else:
                    write_atomic(path, content)
            raise
        for path in before:
            path.with_name(path.name + ".new").unlink(missing_ok=True)

    def _conf(self, app: str, processes: Iterable[str]) -> str:
        launcher = (sys.executable, "-I", "-S", str(Path(launch.__file__)))
        return app_conf(self.home, app, processes, launcher=launcher, home_id=self.home_id)

    def _write_all_confs(self) -> None:
        """Make the folder of files hold what is applied, and nothing else."""
        wanted = {f"{app}.conf": self._conf(app, wish.processes) for app, wish in self._apps().items()}
        for path in self.conf_folder.iterdir():
            if path.name not in wanted and not path.name.endswith(".new"):
                path.unlink(missing_ok=True)
        for name, text in wanted.items():
            if _read(self.conf_folder / name) != text:
                write_atomic(self.conf_folder / name, text.encode())

    def _start(self) -> None:
        """Start a supervisor and wait until it answers. The lock is held, nothing of ours runs."""
        self.conf_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.home / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write_all_confs()
        user = pwd.getpwuid(0).pw_name if os.geteuid() == 0 else ""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
        conf = self.folder / "supervisord.conf"
        write_atomic(conf, daemon_conf(self.home, self.socket, user=user, file_limit=files).encode())
        self.pid_file.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        output = self.folder / "supervisord.out"
        output.unlink(missing_ok=True)
        environment = {**launch.inherited(os.environ), "CELERIAC_SUPERVISOR": self.home_id}
        argv = [sys.executable, "-I", "-m", "supervisor.supervisord", "-c", str(conf)]
        try:
            pid = start_daemon(argv, log=output, cwd=self.folder, env=environment)
        except CommandError as error:
            raise SupervisorError(f"the supervisor cannot be started: {error.message}") from error
        deadline = time.monotonic() + _START_LIMIT
        pause = 0.01
        while not self.running():
            if not psutil.pid_exists(pid) or time.monotonic() > deadline:
                tail = output.read_text(errors="replace").strip().splitlines()[-5:]
                raise SupervisorError("the supervisor did not start: " + " | ".join(tail), hint=f"see {output}")
            time.sleep(pause)
            pause = min(pause * 1.3, 0.1)

    def _revive(self) -> None:
        """Start what is to run. The lock is held."""
        for app, wish in self._apps().items():
            if wish.start:
                with contextlib.suppress(_Unknown):
                    self._known(lambda app=app, wish=wish: self.start(app, wish.processes))  # type: ignore[misc]
        self._reviving.unlink(missing_ok=True)

    def _end_daemons(self) -> None:
        """End every supervisor of this home: one that is deaf, shutting down, or was started by halves."""
        mark = f"CELERIAC_SUPERVISOR={self.home_id}"
        pids = set(launch.marked_pids([mark]))
        noted = _read(self.pid_file).strip()
        if noted.isdigit() and psutil.pid_exists(int(noted)):
            with contextlib.suppress(psutil.Error):
                if str(self.folder / "supervisord.conf") in psutil.Process(int(noted)).cmdline():
                    pids.add(int(noted))
        found = [process for process in strays.pinned(pids) if strays.is_alive(process)]
        if strays.end(found, grace=STOP_SECONDS):
            raise SupervisorError("an old supervisor cannot be ended", hint=f"kill process {found[0].pid}")

    def _end_strays(self) -> None:
        survivors = strays.end(strays.find(self.home), grace=STOP_SECONDS)
        if survivors:
            raise SupervisorError(f"process {survivors[0].pid} of an app cannot be ended", hint="kill it by hand")

    def _wait_stopped(self, look: Callable[[], Iterable[ProcessInfo]]) -> None:
        begun = time.monotonic()
        pause = 0.005
        killed = False
        while True:
            up = [info for info in look() if info.state in {"STARTING", "RUNNING", "STOPPING", "BACKOFF"}]
            waited = time.monotonic() - begun
            if not up:
                return
            if waited > STOP_SECONDS + 2 and not killed:
                killed = True
                for info in up:
                    if info.pid:
                        with contextlib.suppress(ProcessLookupError, PermissionError):
                            os.killpg(info.pid, signal.SIGKILL)
            if waited > STOP_SECONDS + 10:
                raise SupervisorError(f"{up[0].app}: process {up[0].pid} does not stop")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    def _all(self) -> list[ProcessInfo]:
        return [parse_info(raw) for raw in call(self.socket, "supervisor.getAllProcessInfo")]

    def _call_known(self, method: str, app: str, *, ignore: int = -1) -> None:
        try:
            call(self.socket, method, app)
        except SupervisorError as error:
            if error.code == BAD_NAME:
                raise _Unknown from error
            if error.code != ignore:
                raise

    def _known(self, what: Callable[[], None]) -> None:
        try:
            what()
        except SupervisorError as error:
            if error.code == BAD_NAME:
                raise _Unknown from error
            raise

    def _choose_socket(self) -> Path:
        """Below the home folder; where that is too long, in a private folder, which is remembered."""
        preferred = self.folder / "supervisor.sock"
        if socket_path_fits(preferred):
            return preferred
        remembered = self.folder / "socket-folder"
        short = Path(_read(remembered) or Path(tempfile.gettempdir()) / f"celeriac-{os.getuid()}-{self.home_id}")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            short.mkdir(mode=0o700)
        status = short.lstat()
        if short.is_symlink() or not short.is_dir() or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise SupervisorError(
                f"{short} is not a private folder of ours",
                hint="remove it, or choose a shorter CELERIAC_HOME",
            )
        write_atomic(remembered, str(short).encode())
        return short / "supervisor.sock"

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with locked(self.folder / "lock", timeout=_LOCK_LIMIT):
                yield
        except LockTimeoutError:
            raise SupervisorError("another process has been changing the supervisor for too long") from None


class _Unknown(Exception):  # noqa: N818 - an answer, not a fault
    """The supervisor does not know a group of that name."""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
