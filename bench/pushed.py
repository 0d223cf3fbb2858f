"""From a commit to the new version serving, by an upgrade beside the old one: beside the app's own start."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence

from bench import deploy
from bench.measure import Scale, median, until
from bench.place import Place
from bench.table import Row
from runtimes import strays

from beside import answer, free_port  # isort: skip - found once bench.place has made the path

_LIMIT = 1.5
_NAME = "pushed"
APP = f"""
import http.server, importlib.metadata, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = importlib.metadata.version("{_NAME}").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass

def main():
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def once(place: Place, port: int, version: str) -> float:
    """Seconds from the commit of `version` until it answers at the public port, by a sync that is asked for."""
    place.write(
        _NAME,
        f'name: {_NAME}\nversion: "{version}"\nexpose: {{port: {port}}}\nhealth: {{path: /}}\n'
        "upgrade: {strategy: blue_green}\n",
    )
    began = time.perf_counter()
    place.commit()
    from reconciler.asking import ask_for_sync

    ask_for_sync(place.parts, "call")
    until(lambda: _answers(port, version), 0.01)
    took = time.perf_counter() - began
    place.idle()
    return took


def own_start(place: Place) -> float:
    """Seconds that the app itself takes from its start to its first answer."""
    script = next((place.home / "apps" / _NAME / "releases").glob("*/venv/bin/" + _NAME))
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen([script], env={**os.environ, "PORT": str(port)})
    try:
        until(lambda: _answers(port, ""), 0.01)
        return time.perf_counter() - began
    finally:
        process.kill()
        process.wait()


def measure(scale: Scale) -> Sequence[Row]:
    """The median over several versions, whose packages are in the cache."""
    versions = [f"1.{number}" for number in range(scale.repeat + 1)]
    with Place(runtime="process", UV_OFFLINE="1") as place:
        for name in [name for name in place.environ if name.startswith("UV_") and name != "UV_OFFLINE"]:
            del place.environ[name]
        shelf, index, port = place.folder / "shelf", place.folder / "index", free_port()
        shelf.mkdir()
        index.mkdir()
        for version in versions:
            script = f"[console_scripts]\n{_NAME} = {_NAME}:main\n"
            deploy.wheel(shelf, _NAME, {f"{_NAME}.py": APP}, scripts=script, version=version)
        place.environ.update(UV_FIND_LINKS=str(shelf), UV_DEFAULT_INDEX=index.as_uri())
        try:
            place.begin()
            once(place, port, versions[0])
            pairs = [(once(place, port, version), own_start(place)) for version in versions[1:]]
            event = next(e for e in reversed(place.parts.events.last(200)) if e.name == "upgrade.stop")
            told = ", ".join(f"{stage} {seconds * 1000:.0f}" for stage, seconds in event.extra["stages"].items())
        finally:
            place.kill("beat")
            place.kill("worker")
            place.stop_apps()
            strays.end(strays.find(place.home), grace=0)
    beyond = tuple(took - own for took, own in pairs)
    own = median([own for _, own in pairs])
    name = "from commit to serving, upgraded beside, beyond the app's start"
    return [Row(name, median(list(beyond)), "s", _LIMIT, beyond, f"{own * 1000:.0f} ms its start; {told} ms")]


def _answers(port: int, version: str) -> bool:
    try:
        return answer(port) == version if version else bool(answer(port))
    except OSError:
        return False
