"""The supervisor as a process: where it listens, how it is started, and how an old one and its leavings are ended.

It is nobody's child and outlives Celeriac. There is one per home folder: whoever holds `<home>/supervisor/lock` starts
or ends it. `runtimes.supervisord` decides when.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from celeriac.marks import marked_pids
from celeriac.process import CommandError, start_daemon
from celeriac.settings import socket_path_fits
from runtimes import cgroups, launching, strays
from runtimes.files import LockTimeoutError, locked, write_atomic
from runtimes.supervisor_conf import STOP_SECONDS, daemon_conf
from runtimes.supervisor_files import read_text
from runtimes.supervisor_rpc import SupervisorError, SupervisorGoneError, call

_START_LIMIT = 30.0
_LOCK_LIMIT = 180.0
_FILES = 8192


class Daemon:
    """The one supervisor process of `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "supervisor"
        self.pid_file = self.folder / "supervisord.pid"
        self.home_id = strays.home_id(home)
        self._socket: Path | None = None

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

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only one who starts, ends or tells the supervisor. Raises SupervisorError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with locked(self.folder / "lock", timeout=_LOCK_LIMIT):
                yield
        except LockTimeoutError:
            raise SupervisorError("another process has been changing the supervisor for too long") from None

    def start(self) -> None:
        """Start a supervisor and wait until it answers. The lock is held, its files are there, nothing of ours runs."""
        (self.home / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket = None  # its folder may be gone
        user = pwd.getpwuid(0).pw_name if os.geteuid() == 0 else ""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
        conf = self.folder / "supervisord.conf"
        write_atomic(conf, daemon_conf(self.home, self.socket, user=user, file_limit=files).encode())
        self.pid_file.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        output = self.folder / "supervisord.out"
        output.unlink(missing_ok=True)
        environment = {**launching.inherited(os.environ), "CELERIAC_SUPERVISOR": self.home_id}
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

    def end_old(self) -> None:
        """End every supervisor of this home: one that is deaf, shutting down, or was started by halves."""
        mark = f"CELERIAC_SUPERVISOR={self.home_id}"
        pids = set(marked_pids([mark]))
        noted = read_text(self.pid_file).strip()
        if noted.isdigit() and psutil.pid_exists(int(noted)):
            with contextlib.suppress(psutil.Error):
                if str(self.folder / "supervisord.conf") in psutil.Process(int(noted)).cmdline():
                    pids.add(int(noted))
        found = [process for process in strays.pinned(pids) if strays.is_alive(process)]
        if strays.end(found, grace=STOP_SECONDS):
            raise SupervisorError("an old supervisor cannot be ended", hint=f"kill process {found[0].pid}")

    def leave_folder(self) -> None:
        """Remove the private folder of the socket, where there is one. No supervisor runs; the next makes it again."""
        folder = self.socket.parent
        if folder != self.folder:
            self.socket.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody else's file is in it
                folder.rmdir()

    def end_strays(self) -> None:
        """End every process of an app that no supervisor watches, and remove the control groups of those that ended.

        Raises SupervisorError when one survives.
        """
        survivors = strays.end(strays.find(self.home), grace=STOP_SECONDS)
        if survivors:
            raise SupervisorError(f"process {survivors[0].pid} of an app cannot be ended", hint="kill it by hand")
        cgroups.clean(str(self.home), self.home_id)

    def _choose_socket(self) -> Path:
        """Below the home folder; where that is too long, in a private folder, which is remembered."""
        preferred = self.folder / "supervisor.sock"
        if socket_path_fits(preferred):
            return preferred
        remembered = self.folder / "socket-folder"
        short = Path(read_text(remembered) or Path(tempfile.gettempdir()) / f"celeriac-{os.getuid()}-{self.home_id}")
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
