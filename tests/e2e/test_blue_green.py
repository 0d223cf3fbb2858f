"""A push moves an exposed app beside itself, under traffic, by the whole of Celeriac, whose worker dies meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from beside import answer, free_port
from machine import Machine
from traffic import Traffic
from waiting import wait_for

pytestmark = pytest.mark.e2e

_APP = """
import http.server, importlib.metadata, os, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = importlib.metadata.version("gated").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass

def main():
    while not os.path.exists(os.environ["OPEN"]):
        time.sleep(0.01)
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def here() -> Iterator[Machine]:
    """A machine on which nothing runs yet."""
    with Machine() as made:
        yield made


def push(here: Machine, port: int, version: str) -> None:
    """Commit a version that serves once its gate is open."""
    here._project("gated", version, _APP)
    here.let("gated", "build")
    here.write(
        "gated",
        f'name: gated\nversion: "{version}"\n'
        f"source: {{type: git, url: {json.dumps((here.folder / 'code' / 'gated').as_uri())}}}\n"
        f"env: {{OPEN: {json.dumps(str(here.gate('gated', version)))}}}\n"
        f"expose: {{port: {port}}}\nhealth: {{path: /, grace: 60s}}\nupgrade: {{strategy: blue_green}}\n",
    )
    here.commit(f"gated {version}")


def test_a_worker_killed_in_the_midst_of_a_switch_costs_no_request_and_leaves_one_release(here: Machine) -> None:
    port = free_port()
    push(here, port, "1.0.0")
    here.let("gated", "1.0.0")
    here.start()
    wait_for(here.is_synced)
    with Traffic(port, rate=20) as traffic:
        push(here, port, "2.0.0")
        here.ask()
        wait_for(lambda: len(here.pids("gated")) == 2)
        here.kill("worker")
        assert answer(port) == "1.0.0"
        here.let("gated", "2.0.0")
        here.start_worker()
        wait_for(here.is_synced)
    seen = traffic.end()
    assert (seen["new"]["failed"], seen["kept"]["failed"]) == ({}, {})
    assert seen["new"]["versions"] == ["1.0.0", "2.0.0"]
    app = here.status()["apps"]["gated"]
    assert (app["version"], app["pid"]) == ("2.0.0", here.pid("gated"))
    assert answer(port) == "2.0.0"
    here.cli("down", "--apps", code=None)
    assert here.pids() == []
