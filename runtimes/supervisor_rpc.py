"""Calls to the supervisor over its Unix socket, and what it says of a process.

One connection per call: they are local and cheap, and no thread or forked worker shares one.
"""

from __future__ import annotations

import http.client
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from celeriac.errors import CeleriacError
from runtimes.unix_http import UnixConnection

# The supervisor's fault codes that we act on.
SHUTDOWN, BAD_NAME, NOT_RUNNING, ALREADY_STARTED, ALREADY_ADDED, STILL_RUNNING = 6, 10, 70, 60, 90, 91
CANNOT_REREAD = 92


class SupervisorError(CeleriacError):
    """The supervisor did not do what it was asked. `code` is its fault code, 0 when it gave none."""

    reason = "SupervisorError"

    def __init__(self, message: str, *, hint: str = "", code: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class SupervisorGoneError(SupervisorError):
    """There is no supervisor to talk to."""

    reason = "SupervisorGone"


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process as the supervisor sees it. `started`, `stopped` in seconds since 1970; 0 is never."""

    app: str
    name: str
    state: str
    pid: int
    started: float
    stopped: float
    exit_status: int
    error: str

    @property
    def up(self) -> bool:
        """Whether there is a living process, as far as the supervisor knows."""
        return self.state in {"STARTING", "RUNNING", "STOPPING"} and self.pid > 0


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self._path = str(path)
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return UnixConnection(self._path, self._timeout)


def call(path: Path, method: str, *arguments: Any, timeout: float = 30.0) -> Any:
    """The answer of the supervisor behind `path` to `method`, such as `supervisor.getState`.

    Raises SupervisorGoneError when nobody answers there to the end, SupervisorError for a fault or a time-out.
    """
    transport = _Transport(path, timeout)
    proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
    try:
        with proxy:
            return getattr(proxy, method)(*arguments)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == SHUTDOWN:
            raise SupervisorGoneError("the supervisor is shutting down", code=SHUTDOWN) from None
        raise SupervisorError(f"supervisor: {fault.faultString}", code=fault.faultCode) from None
    except TimeoutError:
        raise SupervisorError(f"the supervisor did not answer {method} within {timeout:g}s") from None
    except (FileNotFoundError, ConnectionError, http.client.HTTPException, ExpatError) as error:  # half an answer, too
        raise SupervisorGoneError(f"the supervisor does not answer: {error}") from None
    except (OSError, xmlrpc.client.Error) as error:
        raise SupervisorError(f"the supervisor cannot be reached: {error}") from None


def call_many(path: Path, calls: Iterable[tuple[str, tuple[Any, ...]]], *, ignore: Iterable[int] = ()) -> list[Any]:
    """The answers to several calls in one round. Faults whose code is in `ignore` become None."""
    asked = [{"methodName": method, "params": list(arguments)} for method, arguments in calls]
    if not asked:
        return []
    answers = call(path, "system.multicall", asked, timeout=120.0)
    ignored = set(ignore)
    result: list[Any] = []
    for answer in answers:
        if isinstance(answer, Mapping) and "faultCode" in answer:
            if answer["faultCode"] not in ignored:
                raise SupervisorError(f"supervisor: {answer['faultString']}", code=int(answer["faultCode"]))
            result.append(None)
        else:
            result.append(answer)
    return result


def parse_info(raw: Mapping[str, Any]) -> ProcessInfo:
    """What the supervisor says of one process."""
    return ProcessInfo(
        app=raw["group"],
        name=raw["name"],
        state=raw["statename"],
        pid=int(raw["pid"]),
        started=float(raw["start"]),
        stopped=float(raw["stop"]),
        exit_status=int(raw["exitstatus"]),
        error=raw["spawnerr"],
    )
