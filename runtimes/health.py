"""Does an app work? One probe of it, and the wait until it does after a start.

A probe answers with a value, never with an exception: that an app is ill is no fault of ours. Commands and
checks run in the app's own release and environment, as children that cannot outlive the probe.
"""

from __future__ import annotations

import errno
import http.client
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from celeriac.process import CommandCancelledError, CommandError, CommandTimeoutError, run
from runtimes import ports
from runtimes.base import Superseded
from runtimes.launching import expand, program
from specs.appstate import HealthStatus
from specs.model import AppSpec, Health

_BRIEF = 0.2
_LOOK = 0.05  # seconds between two looks at whether it crashed

_CHECK = """
import asyncio, importlib, inspect, sys
module, _, name = sys.argv[1].partition(":")
check = importlib.import_module(module)
for part in name.split("."):
    check = getattr(check, part)
result = check()
if inspect.isawaitable(result):
    async def wait():
        return await result
    result = asyncio.run(wait())
if not (result is None or result):
    sys.exit(f"{sys.argv[1]} returned {result!r}")
"""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe found, in `seconds`. The message says why when it is not ok."""

    ok: bool
    message: str = ""
    seconds: float = 0.0

    @property
    def health(self) -> HealthStatus:
        """The same in the words of `AppState`."""
        return "healthy" if self.ok else "unhealthy"


def probe(
    spec: AppSpec,
    *,
    release: Path,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ProbeResult:
    """Ask the app of `spec` once. Without `health` there is nothing to ask, and that is ok.

    `port` overrides the one of the spec. `env` is the whole environment for commands and checks, which run in
    `cwd` (default: the release folder). `timeout` shortens the one of the spec.
    """
    health = spec.health
    if health is None:
        return ProbeResult(True, "no health check is declared")
    started = time.monotonic()
    limit = health.timeout if timeout is None else min(health.timeout, timeout)
    limit = max(limit, 0.01)
    target = health.port if port is None else port
    if health.type == "http":
        problem = _http(target, health.path, limit)
    elif health.type == "tcp":
        problem = _tcp(target, limit)
    else:
        problem = _custom(health, release, env, cwd or release, limit, cancelled)
    return ProbeResult(not problem, problem, time.monotonic() - started)


def wait_healthy(
    ask: Callable[[float], ProbeResult],
    *,
    grace: float,
    crashed: Callable[[], str],
    cancelled: Callable[[], bool] = lambda: False,
) -> ProbeResult:
    """Call `ask(seconds left)` until it is ok, at first every few ms and then ever more slowly, for `grace` seconds.

    `crashed` says why there is no point in waiting, or nothing; it costs more than `ask` mostly does, and is called
    less often. Raises Superseded when no longer wanted.
    """
    began = time.monotonic()
    look_next = began
    said = ""
    while True:
        if cancelled():
            raise Superseded("a newer desired state waits")
        now = time.monotonic()
        if now >= look_next:
            look_next = now + _LOOK
            problem = crashed()
            if problem:
                return ProbeResult(False, problem)
        asked = time.monotonic()
        left = max(began + grace - asked, 0.05)
        result = ask(left)
        if result.ok:
            return result
        if left > _BRIEF or not said:  # one that the end of the grace cut short says nothing of the app
            said = result.message
        pause = pause_after(time.monotonic() - began, time.monotonic() - asked)
        if time.monotonic() + pause > began + grace:
            return ProbeResult(False, f"not healthy within {grace:g}s: {said}", result.seconds)
        time.sleep(pause)


def pause_after(waited: float, took: float) -> float:
    """Seconds until the next probe of an app that has been starting for `waited` seconds: a few percent of that.

    So what the waiting adds to a start stays in proportion to it. A probe that `took` long, as a command does, is
    not repeated for as long again: it would slow the start down. Pure.
    """
    return min(max(waited * 0.03, took, 0.003), 0.25)


def _http(port: int, path: str, timeout: float) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"User-Agent": "celeriac", "Connection": "close"})
        status = connection.getresponse().status
    except TimeoutError:
        return f"port {port}: no answer to GET {path} within {timeout:.3g}s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"port {port}: GET {path}: {getattr(error, 'strerror', None) or type(error).__name__}"
    finally:
        connection.close()
    return "" if 200 <= status < 400 else f"port {port}: GET {path} answered {status}"


def _tcp(port: int, timeout: float) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as probe:
            return f"port {port}: {os.strerror(errno.ECONNREFUSED)}" if ports.met_itself(probe) else ""
    except TimeoutError:
        return f"port {port}: no connection within {timeout:.3g}s"
    except OSError as error:
        return f"port {port}: {error.strerror or type(error).__name__}"


def _custom(
    health: Health,
    release: Path,
    env: Mapping[str, str] | None,
    cwd: Path,
    timeout: float,
    cancelled: Callable[[], bool] | None,
) -> str:
    argv = check_argv(health, release, env or {})
    what = health.check or Path(argv[0]).name
    try:
        run(argv, timeout=timeout, cwd=cwd, env=env, tail_lines=5, cancelled=cancelled)
    except CommandCancelledError:
        return f"{what} was stopped"
    except CommandTimeoutError:
        return f"{what} took longer than {timeout:.3g}s"
    except CommandError as error:
        return f"{what}: {error.tail[-1]}" if error.tail else f"{what}: {error.message}"
    return ""


def check_argv(health: Health, release: Path, env: Mapping[str, str]) -> Sequence[str]:
    """The command of a custom check: the spec's own, or the release's interpreter calling its function.

    The program is looked for where the app's own PATH says, since that is where the app would find it.
    """
    if health.command:
        return program(expand(health.command, env), str(release), search=env.get("PATH", ""))
    interpreter = release / "venv" / "bin" / "python"
    return [str(interpreter), "-c", _CHECK, health.check]
