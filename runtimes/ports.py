"""Who listens on a port of this machine: so that an answer is never taken for the app's when it is another's."""

from __future__ import annotations

import socket
from collections.abc import Collection

import psutil

from runtimes import listening


def is_open(port: int, *, timeout: float = 0.5) -> bool:
    """Whether anybody takes connections on `port` of the loopback address."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as probe:
            return not met_itself(probe)
    except OSError:
        return False


def met_itself(probe: socket.socket) -> bool:
    """Whether a connection to a port of this machine got that very port for its own end: then nobody else has it.

    The kernel gives out the ports from 32768 on, and whoever asks often for one that nobody has gets that one in time.
    """
    return bool(probe.getsockname() == probe.getpeername())


def listeners(port: int) -> set[int] | None:
    """The ids of the processes that listen on `port`; None where the system does not tell."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None
    return {
        connection.pid
        for connection in connections
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid
    }


def holder(port: int) -> str:
    """Who holds `port`, for a message: `process 4711 (nginx)`, or `another process`."""
    for pid in sorted(listeners(port) or ()):
        try:
            return f"process {pid} ({psutil.Process(pid).name()})"
        except psutil.Error:
            return f"process {pid}"
    return "another process"


def answered_by_other(port: int, own: Collection[int]) -> str:
    """Who listens on `port` when it is known that none of `own` does; empty when that is not known.

    Several may: forked workers share a listening socket, so one of `own` among them is enough.
    """
    if any(listens(pid, port) for pid in own):
        return ""
    pids = listeners(port)
    if not pids or pids & set(own):
        return ""
    return holder(port)


def listens(pid: int, port: int) -> bool:
    """Whether the process is known to listen on `port`: of one that is quick to tell, of all it is not."""
    try:
        return listening.listens(pid, port)
    except (OSError, AttributeError):  # no Linux, or a process that is not ours to look at
        pass
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)
