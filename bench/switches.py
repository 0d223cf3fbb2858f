"""The ways to lead requests from an old release to a new one, each under the same traffic: what fails of it.

One Caddy, two releases, no Celeriac: what is compared is the switch alone. The new release listens before the switch,
the old one is told to stop a second after it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import Scale, until
from bench.table import Row
from runtimes import front_admin

from beside import APP, free_port  # isort: skip - found once bench.place has made the path
from traffic import Traffic  # isort: skip

_RATE = 200.0
_WEBSOCKETS = 2


class Stage:
    """A folder with a Caddy, and the release that is live."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.live: subprocess.Popen[bytes] | None = None
        self.number = 0

    def release(self, where: str) -> subprocess.Popen[bytes]:
        """Start one more release at a port or socket; it listens when this returns."""
        self.number += 1
        argv = [sys.executable, str(APP), where, str(self.number)]
        process = subprocess.Popen(argv, cwd=self.folder, stdout=subprocess.DEVNULL)
        self.processes.append(process)
        until(lambda: _listens(where), 0.01)
        return process

    def config(self, dial: str, **more: Any) -> bytes:
        """Caddy's configuration."""
        proxy = {
            "handler": "reverse_proxy",
            "upstreams": [{"dial": dial}],
            "load_balancing": {"try_duration": "10s", "try_interval": "50ms"},
            "transport": {"protocol": "http", "keep_alive": {"idle_timeout": "500ms", "max_idle_conns_per_host": 256}},
            **more,
        }
        server = {
            "listen": [f"127.0.0.1:{self.port}"], "routes": [{"handle": [proxy]}], "automatic_https": {"disable": True},
        }  # fmt: skip
        return json.dumps({
            "admin": {"listen": f"unix/{self.folder}/admin|0600", "config": {"persist": False}},
            "logging": {"logs": {"default": {"level": "ERROR"}}},
            "apps": {"http": {"servers": {"one": server}}},
        }).encode()  # fmt: skip

    def begin(self, config: bytes) -> None:
        """Start Caddy."""
        (self.folder / "caddy.json").write_bytes(config)
        argv = [*front_admin.command(), "--config", "caddy.json"]
        environ = {**os.environ, "XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        with (self.folder / "caddy.log").open("wb") as log:
            self.processes.append(subprocess.Popen(argv, cwd=self.folder, env=environ, stdout=log, stderr=log))
        until(lambda: front_admin.answers(self.folder / "admin"), 0.01)

    def seen(self, number: int) -> int:
        """How many requests a release was sent."""
        file = self.folder / f"seen.{number}"
        return file.stat().st_size if file.exists() else 0


Switch = Callable[[Stage], None]


def _by_file(stage: Stage) -> Switch:
    """The configuration names a file, whose content is the address (what Celeriac does)."""

    def write(port: int) -> None:
        (stage.folder / "new").write_text(f"127.0.0.1:{port}\n")
        (stage.folder / "new").replace(stage.folder / "upstream")

    def switch(stage: Stage) -> None:
        port = free_port()
        stage.live = stage.release(str(port))
        write(port)

    switch(stage)
    stage.begin(stage.config("{file.upstream}", stream_close_delay="24h"))
    return switch


def _by_link(stage: Stage) -> Switch:
    """The configuration names a Unix socket, which is a link to that of the live release."""

    def switch(stage: Stage) -> None:
        name = f"s{stage.number + 1}"
        stage.live = stage.release(f"unix:{stage.folder / name}")
        (stage.folder / "new").symlink_to(name)
        (stage.folder / "new").replace(stage.folder / "live.sock")

    switch(stage)
    stage.begin(stage.config(f"unix/{stage.folder}/live.sock", stream_close_delay="24h"))
    return switch


def _by_reload(stage: Stage, **more: Any) -> Switch:
    """The configuration names the port, and is loaded anew at each switch."""

    def config() -> bytes:
        port = free_port()
        stage.live = stage.release(str(port))
        return stage.config(f"127.0.0.1:{port}", **more)

    stage.begin(config())
    return lambda stage: front_admin.load(stage.folder / "admin", config())


def _by_delayed_reload(stage: Stage) -> Switch:
    return _by_reload(stage, stream_close_delay="24h")


def _stop_then_start(stage: Stage) -> Switch:
    """One fixed port; requests wait in Caddy while nothing listens there."""
    port = free_port()
    stage.live = stage.release(str(port))
    stage.begin(stage.config(f"127.0.0.1:{port}"))

    def switch(stage: Stage) -> None:
        assert stage.live is not None
        stage.live.send_signal(signal.SIGTERM)
        stage.live.wait()
        stage.live = stage.release(str(port))

    return switch


WAYS: dict[str, Callable[[Stage], Switch]] = {
    "the file with the address is replaced": _by_file,
    "a link to its Unix socket is swapped": _by_link,
    "Caddy's configuration is reloaded": _by_reload,
    "the same, with stream_close_delay": _by_delayed_reload,
    "stopped, then started; requests wait": _stop_then_start,
}


def once(way: Callable[[Stage], Switch], count: int) -> tuple[dict[str, Any], int]:
    """What the traffic saw of `count` switches, and how many requests came to a release after it was switched from."""
    late = 0
    with _stage() as stage:
        switch = way(stage)
        with Traffic(stage.port, _RATE) as traffic:
            time.sleep(0.5)
            for _ in range(count):
                old, number = stage.live, stage.number
                switch(stage)
                time.sleep(0.1)  # what was on its way
                before = stage.seen(number)
                time.sleep(0.9)
                late += stage.seen(number) - before
                if old is not None and old.poll() is None:
                    old.send_signal(signal.SIGTERM)
        return traffic.end(), late


def closed(way: Callable[[Stage], Switch]) -> int:
    """How many of two WebSockets are closed by a switch, while the old release still runs."""
    with _stage() as stage:
        switch = way(stage)
        with Traffic(stage.port, 10.0, _WEBSOCKETS) as traffic:
            until(lambda: stage.seen(1) > _WEBSOCKETS, 0.01)
            switch(stage)
            time.sleep(1)
        return sum(traffic.end()["websockets"]["failed"].values())


def measure(scale: Scale) -> Sequence[Row]:
    """A row per way."""
    rows = []
    for name, way in WAYS.items():
        seen, late = once(way, scale.switches)
        failed = {kind: sum(seen[kind]["failed"].values()) for kind in ("new", "kept")}
        parts = [f"{kind} {failed[kind]} of {seen[kind]['sent']:,}" for kind in ("new", "kept")]
        parts += [f"WebSockets closed {closed(way)} of {_WEBSOCKETS}", f"{late:,} late to the old one"]
        parts += [f"longest {max(seen['new']['longest'], seen['kept']['longest']):.2f} s"]
        rows.append(Row(name, failed["new"] + failed["kept"], "n", None, (), "; ".join(parts)))
    return rows


@contextmanager
def _stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="clr-", dir="/tmp") as folder:
        stage = Stage(Path(folder))
        try:
            yield stage
        finally:
            for process in stage.processes:
                process.kill()
                process.wait()


def _listens(where: str) -> bool:
    try:
        if where.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(where.removeprefix("unix:"))
            return True
        connection = http.client.HTTPConnection("127.0.0.1", int(where), timeout=5)
        connection.request("GET", "/health")
        connection.getresponse()
        connection.close()
        return True
    except OSError:
        return False
