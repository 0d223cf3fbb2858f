"""Homes with real supervisors, and apps that are small scripts. Everything is ended by id after each test."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtimes import strays
from runtimes.base import RuntimeContext
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor
from specs.digest import release_id
from specs.model import AppSpec

WEB = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"version": os.environ["CELERIAC_VERSION"], "pid": os.getpid(), "env": dict(os.environ),
                           "argv": sys.argv, "cwd": os.getcwd()}).encode()
        self.send_response(500 if os.path.exists("ill") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
http.server.HTTPServer.allow_reuse_address = True
print("serving", os.environ["CELERIAC_VERSION"])
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

CRASH = """
import sys
print("about to fail")
print("no such table: users", file=sys.stderr)
sys.exit(3)
"""

SLEEP = """
import time
print("sleeping")
while True: time.sleep(60)
"""

RELOAD = """
import json, os, signal, time
def reload(*_):
    open("reloaded", "w").write(json.load(open(os.environ["CELERIAC_ENV_FILE"]))["GREETING"])
signal.signal(signal.SIGHUP, reload)
open("ready", "w").close()
while True: time.sleep(60)
"""

pytest.register_assert_rewrite("runtimes.testing")

SCRIPTS = {"web.py": WEB, "crash.py": CRASH, "sleep.py": SLEEP, "reload.py": RELOAD}


def make_release(home: Path, spec: AppSpec) -> Path:
    """A release as `sources` would build it: an interpreter and the code, complete or absent."""
    folder = home / "apps" / spec.name / "releases" / release_id(spec)
    if not folder.is_dir():
        part = folder.with_name(f".{folder.name}.part")
        (part / "venv" / "bin").mkdir(parents=True, exist_ok=True)
        python = part / "venv" / "bin" / "python"
        if not python.is_symlink():
            python.symlink_to(sys.executable)
        for name, text in SCRIPTS.items():
            (part / name).write_text(text)
        part.rename(folder)
    return folder


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    folder.mkdir()
    yield folder
    try:
        Supervisor(folder).shutdown()
    finally:
        strays.end(strays.find(folder), grace=0)


@pytest.fixture
def context(home: Path) -> RuntimeContext:
    return RuntimeContext(home=home, node="node-1", build=lambda spec: make_release(home, spec))


@pytest.fixture
def runtime(context: RuntimeContext) -> ProcessRuntime:
    return ProcessRuntime(context)


@pytest.fixture
def release_of() -> Callable[[Path, AppSpec], Path]:
    return make_release


@pytest.fixture
def new_port() -> Callable[[], int]:
    return free_port
