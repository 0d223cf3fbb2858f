"""Whether a service of Celeriac's own does its work, and not merely runs.

Used by `tasks.services` alone. Redis must answer, the worker must have reported as a node, Flower must
accept connections; beat has nothing to be asked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Mapping
from typing import Any

from celeriac.settings import Settings
from tasks.service_config import FLOWER, REDIS, WORKER
from tasks.service_supervisor import POLL, ServiceFailed, ServiceSupervisor, alive

CRASHES = 3
"""How many starts must have ended too soon before a service is called broken."""


class Crashes:
    """Counts, look by look, how often each service ended right after its start."""

    def __init__(self) -> None:
        self._starts: dict[str, set[int]] = {}

    def broken(self, info: Mapping[str, Any]) -> bool:
        """Whether this service keeps ending; `info` is what the supervisor says now."""
        if info["statename"] == "BACKOFF":
            self._starts.setdefault(info["name"], set()).add(info["start"])
        return info["statename"] == "FATAL" or len(self._starts.get(info["name"], ())) >= CRASHES


def does_its_work(info: Mapping[str, Any], settings: Settings, flower_port: int) -> bool:
    """Whether the service that the supervisor describes in `info` is ready for use."""
    if info["statename"] not in {"STARTING", "RUNNING"}:
        return False
    if info["name"] == REDIS:
        return redis_answers(settings)
    if info["name"] == WORKER:
        return _node_reported(settings, info["pid"])
    if info["name"] == FLOWER:
        return _port_taken(flower_port)
    return True


def redis_answers(settings: Settings) -> bool:
    """Whether the Redis of these settings answers."""
    from state.store import StateUnavailable, open_store

    try:
        with contextlib.closing(open_store(settings)) as store:
            store.ping()
    except StateUnavailable:
        return False
    return True


def wait_for_redis(settings: Settings, supervisor: ServiceSupervisor, timeout: float = 60.0) -> None:
    """Wait until the embedded Redis answers. Raises ServiceFailed."""
    deadline = time.monotonic() + timeout
    crashes = Crashes()
    while not redis_answers(settings):
        if any(crashes.broken(info) for info in supervisor.infos() if info["name"] == REDIS):
            raise supervisor.failed(REDIS, "keeps ending")
        if time.monotonic() > deadline:
            raise supervisor.failed(REDIS, f"did not answer within {timeout:g}s")
        time.sleep(POLL)


def end_stray_redis(settings: Settings, timeout: float = 30.0) -> None:
    """End an embedded Redis whose supervisor was killed: two on one data folder would spoil it."""
    if settings.redis_url or not redis_answers(settings):
        return
    from state.store import StateUnavailable, open_store

    try:
        with contextlib.closing(open_store(settings)) as store:
            pid = int(store.client.info("server")["process_id"])
    except StateUnavailable:  # it was ending already
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while alive(pid):
        if time.monotonic() > deadline:
            raise ServiceFailed(f"a Redis left over from before (process {pid}) does not end", hint=f"kill {pid}")
        time.sleep(POLL)


def _node_reported(settings: Settings, pid: int) -> bool:
    """Whether the worker `pid`, and not one before it, is the node that reports."""
    from state.nodes import Nodes
    from state.store import StateUnavailable, open_store

    try:
        with contextlib.closing(open_store(settings)) as store:
            node = Nodes(store).all().get(settings.node)
    except StateUnavailable:
        return False
    return node is not None and node.alive and node.pid == pid


def _port_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
