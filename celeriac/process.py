"""The one module that runs child processes.

A child that a task starts (git, uv, a hook, a health command) must die with the task, however
that ends: it gets a session of its own, the kernel kills it when its parent dies
(PR_SET_PDEATHSIG), and its whole group is killed in `finally`. What must outlive us, such as
the supervisor of the apps, goes through `start_daemon` and is nobody's child.
(Failure modes measured in the stack notes: a killed worker leaves its subprocesses alive.)
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from celeriac.errors import CeleriacError
from celeriac.outputs import Output, Poller

PIPE = subprocess.PIPE

_PR_SET_PDEATHSIG = 1
_IF_CHILD = 'test "$PPID" = "$0" || exit 1; exec "$@"'
_ASK = 0.5  # seconds between two looks at whether it is still wanted
_NAP = 0.02  # seconds between two looks at a child where the kernel does not tell that it ended
_libc = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None


class CommandError(CeleriacError):
    """A child process did not do its work. `tail` holds the last lines it printed."""

    reason = "CommandFailed"

    def __init__(self, message: str, *, tail: Sequence[str] = (), returncode: int | None = None) -> None:
        super().__init__(message)
        self.tail = tuple(tail)
        self.returncode = returncode


class CommandMissingError(CommandError):
    """The program is not installed."""

    reason = "CommandMissing"


class CommandTimeoutError(CommandError):
    """The child ran longer than it may and was killed."""

    reason = "CommandTimeout"


class CommandCancelledError(CommandError):
    """The caller asked for the child to be stopped."""

    reason = "Cancelled"


@dataclass(frozen=True, slots=True)
class Completed:
    """A child that exited 0: its whole standard output and the last lines of everything."""

    stdout: str
    tail: tuple[str, ...]
    seconds: float


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    tail_lines: int = 30,
    max_output: int = 16 * 2**20,
    cancelled: Callable[[], bool] | None = None,
    told: Callable[[str], None] | None = None,
    light: bool = False,
) -> Completed:
    """Run `argv` to its end and return what it printed.

    `env` replaces the environment when given. `cancelled` is asked about twice a second; true
    stops the child. Standard error is kept in the tail only; a tail never grows beyond
    `tail_lines` lines of 2,000 characters, standard output beyond `max_output` is dropped. `told` is
    given each line of either as it comes. A `light` one is started more quickly by a
    large process, through a shell, which may drop variables whose names it does not take.

    Raises CommandMissingError, CommandTimeoutError, CommandCancelledError, or CommandError when
    it exits with another code than 0.
    """
    started = time.monotonic()
    name = Path(argv[0]).name
    light_argv = _light(argv) if light else None
    options = child_options(brief=light_argv is not None)
    child = _start(light_argv or argv, cwd=cwd, env=env, stdout=PIPE, stderr=PIPE, **options)
    output = Output(child.stdout, child.stderr, tail_lines, max_output, told)
    try:
        try:
            _wait(child, output, started + timeout, cancelled, name=name, timeout=timeout)
        finally:  # first, since what the child left behind would hold its pipes open
            _kill_group(child)
            output.finish()
    except CommandError as error:
        error.tail = tuple(output.tail)
        raise
    seconds = time.monotonic() - started
    if child.returncode != 0:
        how = f"exit code {child.returncode}" if child.returncode > 0 else f"signal {-child.returncode}"
        raise CommandError(f"{name} ended with {how}", tail=tuple(output.tail), returncode=child.returncode)
    return Completed(output.text(), tuple(output.tail), seconds)


def start_daemon(
    argv: Sequence[str], *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> int:
    """Start `argv` as nobody's child, its output appended to `log`; return its process id.

    It outlives this process and gets no signal meant for it: a session of its own, and the
    parent is process 1 as soon as the shell-less middle process has exited.
    Raises CommandMissingError when it cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as answer:
        try:
            with log.open("ab") as sink:
                middle = _start(
                    [*_middle_command(write_end), *argv],
                    cwd=cwd,
                    env=env,
                    stdout=sink,
                    stderr=sink,
                    start_new_session=True,
                    pass_fds=(write_end,),
                )
        finally:
            os.close(write_end)
        middle.wait()
        pid, _, error = answer.read().partition(" ")
    if error or not pid.isdigit():
        raise CommandMissingError(f"{argv[0]}: cannot be started: {error or 'no answer'}")
    return int(pid)


def start_child(
    argv: Sequence[str], *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `argv` as a child in a session of its own, its output appended to `log`.

    For the few callers that wait for it themselves; it dies with the thread that started it,
    and so with this process. Raises CommandMissingError when it cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        return _start(argv, cwd=cwd, env=env, stdout=sink, stderr=sink, **child_options())


def child_options(*, brief: bool = False) -> dict[str, Any]:
    """What Popen must be given for a child that dies with us; for libraries that start their own.

    A `brief` one ends by itself within milliseconds, whatever becomes of us, and gets no death signal: where nothing
    of ours runs between fork and exec, a large process starts a child several times as quickly.
    """
    parent = os.getpid()
    return {"start_new_session": True, **({} if brief else {"preexec_fn": lambda: _die_with(parent)})}


def _light(argv: Sequence[str]) -> list[str] | None:
    """`argv` behind two small programs that see to it that it dies with us; None where there is no such thing.

    A hook between fork and exec, as `child_options` has it, makes the kernel copy the page tables of this process: 5 ms
    for a worker. The shell's text is constant; it gives up when we died before the signal was set.
    """
    before = _with_death_signal()
    if not before or not os.access(argv[0], os.X_OK):
        return None
    return [*before, "-c", _IF_CHILD, str(os.getpid()), *argv]


@cache
def _with_death_signal() -> tuple[str, ...]:
    """The two programs, tried once, or nothing: the setpriv of BusyBox, and an old one, know no death signal."""
    setpriv, shell = shutil.which("setpriv"), shutil.which("sh")
    if setpriv is None or shell is None:
        return ()
    before = (setpriv, "--pdeathsig", "KILL", shell)
    try:
        tried = subprocess.run([*before, "-c", "exit 0"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return before if tried.returncode == 0 else ()


def communicate(
    child: subprocess.Popen[bytes], *, name: str, timeout: float, stdin: bytes | None = None
) -> tuple[bytes, bytes]:
    """Feed a child that another library started with `child_options`, and return its two outputs in full.

    Its group is gone when this returns or raises. Raises CommandTimeoutError.
    """
    try:
        return child.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        raise CommandTimeoutError(f"{name} was stopped after {timeout:g}s") from None
    finally:
        _kill_group(child)
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what it did not read before it was killed
                    pipe.close()


def _start(argv: Sequence[str], *, env: Mapping[str, str] | None, **options: Any) -> subprocess.Popen[bytes]:
    environ = None if env is None else dict(env)
    try:
        return subprocess.Popen(list(argv), env=environ, stdin=subprocess.DEVNULL, **options)
    except FileNotFoundError as error:
        missing = error.filename or argv[0]
        raise CommandMissingError(f"{missing}: no such program or folder") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise CommandMissingError(f"{argv[0]}: cannot be started: {why}") from error


def _middle_command(write_end: int) -> list[str]:
    import sys

    script = (
        "import os,sys\n"
        "w=int(sys.argv[1])\n"
        "p=os.fork()\n"
        "if p: os._exit(0)\n"
        "os.setsid()\n"
        "os.set_inheritable(w, False)\n"
        "os.write(w, str(os.getpid()).encode())\n"
        "try: os.execvp(sys.argv[2], sys.argv[2:])\n"
        "except OSError as e:\n"
        "    os.write(w, (' '+str(e.strerror)).encode()); os._exit(127)\n"
    )
    return [sys.executable, "-I", "-S", "-c", script, str(write_end)]


def _die_with(parent: int) -> None:
    if _libc is not None and hasattr(_libc, "prctl"):
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call took effect
        os._exit(1)


def _wait(
    child: subprocess.Popen[bytes],
    output: Output,
    deadline: float,
    cancelled: Callable[[], bool] | None,
    *,
    name: str,
    timeout: float,
) -> None:
    asked = time.monotonic()
    with _end_of(child) as ended:
        while (left := deadline - time.monotonic()) > 0:
            if ended(output.poller, min(left, _ASK) if cancelled else left):
                return
            if cancelled is not None and time.monotonic() - asked >= _ASK:
                if cancelled():
                    raise CommandCancelledError(f"{name} was stopped: no longer wanted")
                asked = time.monotonic()
    raise CommandTimeoutError(f"{name} was stopped after {timeout:g}s")


@contextlib.contextmanager
def _end_of(child: subprocess.Popen[bytes]) -> Iterator[Callable[[Poller, float], bool]]:
    """What waits, reading output meanwhile, for so many seconds at most, and tells whether the child has ended.

    Popen.wait naps for up to 50 ms; the kernel can wake us at once.
    """
    handle = None
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):  # a kernel before 5.3
            handle = os.pidfd_open(child.pid)
    if handle is None:
        yield lambda poller, seconds: poller.look(min(seconds, _NAP)) or child.poll() is not None
        return
    try:
        yield lambda poller, seconds: poller.look(seconds, handle)
    finally:
        os.close(handle)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
