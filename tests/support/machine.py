"""A whole Celeriac that runs real apps: built by uv from Git repositories of this test, under a real supervisor.

Nothing is fetched from anywhere: uv builds those in `apps/` and the examples by itself, the others bring a build
backend of their own. All is on this machine, below one temporary folder, and ended by process id.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from installation import Installation
from waiting import wait_for

from runtimes import strays
from runtimes.supervisord import Supervisor

APPS = Path(__file__).resolve().parent / "apps"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# A project that builds itself, and waits for a file named in GATE (where that is a file) before it does.
_BACKEND = """
import pathlib, time, tomllib, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    gate = pathlib.Path(pathlib.Path("gate.txt").read_text())
    gate.with_suffix(".reached").touch()
    while not gate.exists() and gate.parent.exists():
        time.sleep(0.01)
    info, file = f"{name}-{version}.dist-info", f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, file), "w") as wheel:
        wheel.write(f"{name}.py")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        tags = "Root-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\\nGenerator: t\\n{tags}")
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\\n{name} = {name}:main\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return file
"""

# It serves once the file OPEN is there.
_GATED = """
import http.server, os, pathlib, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass

def main():
    print("waiting", flush=True)
    while not os.path.exists(os.environ["OPEN"]):
        time.sleep(0.01)
    http.server.HTTPServer.allow_reuse_address = True
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

# It serves, and ends as soon as the file `die` is in its working folder, again and again.
_DYING = """
import http.server, os, sys, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["CELERIAC_VERSION"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass

def main():
    def watch():
        while not os.path.exists("die"):
            time.sleep(0.01)
        print("no such table: users", flush=True)
        os._exit(3)
    if {mortal}:
        threading.Thread(target=watch, daemon=True).start()
    http.server.HTTPServer.allow_reuse_address = True
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

_CRASHING = """
import sys

def main():
    print("about to fail", flush=True)
    sys.exit("no such table: users")
"""

# It uses ever more memory once the file OPEN is there, which it removes.
_GREEDY = """
import os, time

def main():
    kept = []
    while True:
        if os.path.exists(os.environ["OPEN"]):
            os.unlink(os.environ["OPEN"])
            kept.append(None)
        if kept:
            kept.append(b"x" * 4_000_000)
        time.sleep(0.02)
"""


class Machine(Installation):
    """One machine whose apps are real processes."""

    def __init__(self, **settings: str) -> None:
        super().__init__(runtime="process", UV_OFFLINE="1", **settings)
        self.ports: dict[str, int] = {}
        for name in [name for name in self.environ if name.startswith("UV_") and name != "UV_OFFLINE"]:
            del self.environ[name]

    def __exit__(self, *raised: object) -> None:
        try:
            super().__exit__(*raised)
        finally:
            strays.end(strays.find(self.home), grace=0)

    # Code

    def example(self, name: str) -> None:
        """A repository of one of the apps in `apps/`, else of the examples, with a tag per version."""
        folder = APPS / name if (APPS / name).is_dir() else EXAMPLES / name
        for version in sorted(folder.iterdir()):
            files = {
                path.relative_to(version).as_posix(): path.read_text()
                for path in version.rglob("*")
                if path.is_file() and "__pycache__" not in path.parts
            }
            self.code(name, version.name, files)

    def gated(self, version: str, name: str = "gated") -> None:
        """A version of an app that is built when `<name>.build` and serves when `<name>.open` is there."""
        self._project(name, version, _GATED)

    def crashing(self, version: str, name: str = "crashing") -> None:
        """A version of an app that ends as soon as it is started."""
        self._project(name, version, _CRASHING)
        self.let(name, "build")

    def greedy(self, name: str, memory: str) -> None:
        """An app that may use `memory`, and uses more once `<name>.open` is there; code and spec."""
        self._project(name, "1.0.0", _GREEDY)
        self.let(name, "build")
        self.write(
            name,
            f'name: {name}\nversion: "1.0.0"\n'
            f"source: {{type: git, url: {json.dumps((self.folder / 'code' / name).as_uri())}}}\n"
            f"env: {{OPEN: {json.dumps(str(self.gate(name, 'open')))}}}\n"
            'health: {type: custom, command: ["true"], interval: 1s}\n'
            f"limits: {{memory: {memory}, cpus: 1}}\n",
        )

    def dying(self, version: str, name: str = "dying", *, mortal: bool = True) -> None:
        """A version of an app that serves, and when it is `mortal` ends again and again once `data/die` is there."""
        self._project(name, version, _DYING.replace("{mortal}", str(mortal)))
        self.let(name, "build")

    def gate(self, name: str, what: str) -> Path:
        """The file that the app `name` waits for to be built or opened."""
        return self.folder / f"{name}.{what}"

    def let(self, name: str, *what: str) -> None:
        """Let the app `name` be built, or opened."""
        for one in what:
            self.gate(name, one).touch()

    def code(self, name: str, version: str, files: Mapping[str, str]) -> None:
        """Commit `files` to the repository of an app, as a version of it."""
        folder = self.folder / "code" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            self.git("init", "-q", "-b", "main", folder=folder)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        self.git("add", "-A", folder=folder)
        self.git("commit", "-q", "-m", version, folder=folder)
        self.git("tag", "-a", "-m", version, f"v{version}", folder=folder)

    def _project(self, name: str, version: str, module: str) -> None:
        pyproject = (
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            f'[project]\nname = "{name}"\nversion = "{version}"\n'
        )
        files = {"pyproject.toml": pyproject, "backend.py": _BACKEND, f"{name}.py": module}
        self.code(name, version, {**files, "gate.txt": str(self.gate(name, "build"))})

    # Specs

    def web(
        self, name: str, version: str = "1.0.0", *, grace: str = "15s", env: Mapping[str, str] = {}, more: str = ""
    ) -> None:
        """The spec of an app that serves `/health` on a port of its own; `more` are lines of YAML."""
        port = self.ports.setdefault(name, _free_port())
        values = {**({"OPEN": str(self.gate(name, "open"))} if name == "gated" else {}), **env}
        self.write(
            name,
            f'name: {name}\nversion: "{version}"\n'
            f"source: {{type: git, url: {json.dumps((self.folder / 'code' / name).as_uri())}}}\n"
            f"env: {json.dumps(values)}\n"
            f"health: {{port: {port}, path: /health, interval: 1s, grace: {grace}}}\n{more}",
        )

    def ticker(self) -> None:
        """The spec of ticker, which needs counter."""
        port = self.ports.setdefault("counter", _free_port())
        self.write(
            "ticker",
            'name: ticker\nversion: "1.0.0"\n'
            f"source: {{type: git, url: {json.dumps((self.folder / 'code' / 'ticker').as_uri())}}}\n"
            f'env: {{COUNTER_URL: "http://127.0.0.1:{port}/", EVERY: 0.1}}\n'
            "depends_on: [counter]\n"
            'health: {type: custom, command: ["true"]}\n',  # without one, five seconds of staying up are waited for
        )

    # What runs

    def pids(self, name: str = "") -> list[int]:
        """Every process of an app, or of all, that somebody started: without health checks and without children."""
        found = {one.pid: one for one in strays.find(self.home, name)}
        return [pid for pid, one in found.items() if not _is_check(one) and _parent(one) not in found]

    def pid(self, name: str) -> int:
        """The one process of an app."""
        (pid,) = self.pids(name)
        return pid

    def supervisor_pid(self) -> int:
        """The supervisor's process id."""
        return int(Supervisor(self.home).pid_file.read_text())

    def get(self, name: str, path: str = "/") -> dict[str, Any]:
        """What a web app answers to GET `path`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=5)
        try:
            connection.request("GET", path)
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()

    def is_synced(self) -> bool:
        """Whether everything runs as Git says."""
        return bool(self.status()["status"] == "synced")

    def deployed(self) -> None:
        """Commit, start Celeriac and wait until everything runs as Git says, and no run would take up a new commit."""
        self.commit()
        self.start()
        wait_for(self.is_synced)
        engine = self.engine
        wait_for(lambda: any(event.name == "node.up" for event in engine.events.last(1000)))
        self.settle()


def _is_check(process: psutil.Process) -> bool:
    try:
        return process.environ().get("CELERIAC_PROCESS") == "health"
    except psutil.NoSuchProcess:
        return True


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
