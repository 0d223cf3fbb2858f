"""An exposed app that is upgraded beside itself, on a home of a test's own; and a process that is killed while it does.

    python beside.py HOME PORT OLD NEW MODULE:NAME before|after NTH

upgrades the app to the version NEW and ends itself by SIGKILL right before or after the NTH call of the function.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtimes import strays
from runtimes.base import RuntimeContext
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor
from specs.digest import release_id
from specs.model import AppSpec, Expose, Health, Run, Upgrade

APP = Path(__file__).with_name("traffic_app.py")


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def exposed(port: int, version: str = "1", **more: Any) -> AppSpec:
    """The app `web`, reached by `port`."""
    spec = AppSpec(
        "web",
        version,
        run=Run({"main": ("python", str(APP), "$PORT")}),
        health=Health(port=port, timeout=2.0, grace=20.0),
        expose=Expose(port),
        upgrade=Upgrade("blue_green"),
    )
    return replace(spec, **more)


def build(home: Path, spec: AppSpec) -> Path:
    """A release that has nothing but an interpreter."""
    folder = home / "apps" / spec.name / "releases" / release_id(spec)
    if not folder.is_dir():
        (folder / "venv" / "bin").mkdir(parents=True)
        (folder / "venv" / "bin" / "python").symlink_to(sys.executable)
    return folder


class Beside:
    """A home with a supervisor, and what a test wants to know of what runs there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []
        self.on_phase: Callable[[str], None] = lambda phase: None

    def runtime(self) -> ProcessRuntime:
        """A runtime as another worker would make it."""
        context = RuntimeContext(
            home=self.home,
            node="node-1",
            build=lambda spec: build(self.home, spec),
            report=lambda phase: self.on_phase(phase),
            tell=lambda name, spec, extra: self.told.append((name, spec.name, extra)),
        )
        return ProcessRuntime(context)

    def pids(self, app: str = "web") -> list[int]:
        """Every process of an app."""
        return sorted(process.pid for process in strays.find(self.home, app))

    def seen(self, version: str) -> int:
        """How many requests, but health checks, a version was sent."""
        file = self.home / "apps" / "web" / "data" / f"seen.{version}"
        return file.stat().st_size if file.exists() else 0

    def killed_at(self, port: int, old: str, new: str, function: str, when: str, nth: int = 1) -> None:
        """Upgrade in a process of its own, which is killed at `function`."""
        argv = [sys.executable, __file__, str(self.home), str(port), old, new, function, when, str(nth)]
        paths = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
        done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=60)
        assert done.returncode == -signal.SIGKILL, (done.returncode, done.stderr)

    def end(self) -> None:
        """End all that runs."""
        try:
            Supervisor(self.home).shutdown()
        finally:
            strays.end(strays.find(self.home), grace=0)


def answer(port: int, host: str = "", path: str = "/", timeout: float = 15.0) -> str:
    """What the app, or whoever it is, answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host} if host else {})
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return str(response.read().decode())


def _die_at(function: str, when: str, nth: int) -> None:
    module_name, _, path = function.partition(":")
    owner: Any = importlib.import_module(module_name)
    *between, name = path.split(".")
    for part in between:
        owner = getattr(owner, part)
    real, calls = getattr(owner, name), 0

    def die(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **more)
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, die)


if __name__ == "__main__":
    _home, _port, _old, _new, _function, _when, _nth = sys.argv[1:]
    _die_at(_function, _when, int(_nth))
    Beside(Path(_home)).runtime().upgrade(exposed(int(_port), _new), _old)
