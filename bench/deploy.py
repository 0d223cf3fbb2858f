"""A real deploy from a warm cache, from the index to a healthy process, beside `uv venv`, `uv pip install` and the
app's own start done by hand.

The index is a folder of wheels made here: an app that serves HTTP, and six libraries of forty modules that it needs.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.measure import Scale, median, seconds, until
from bench.place import Place
from bench.table import Row
from runtimes import strays
from sources.installer import base_python, install_argv, uv_binary, venv_argv

_LIMIT = 1.3
_LIBRARIES = tuple(f"lib{letter}" for letter in "abcdef")
_MODULES = 40
_PACKAGE = "served"
_APP = f"""
import http.server, os
{"".join(f"import {library}.m0{chr(10)}" for library in _LIBRARIES)}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass

def main():
    http.server.HTTPServer.allow_reuse_address = True
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def make_index(folder: Path, versions: Sequence[str] = ("1.0",)) -> None:
    """The wheels of the app, in each of its `versions`, and of what it needs."""
    for library in _LIBRARIES:
        modules = {f"{library}/m{number}.py": f"VALUE = {number}\n" * 50 for number in range(_MODULES)}
        wheel(folder, library, {f"{library}/__init__.py": "", **modules})
    needs = "".join(f"Requires-Dist: {library}\n" for library in _LIBRARIES)
    scripts = f"[console_scripts]\n{_PACKAGE} = {_PACKAGE}:main\n"
    for version in versions:
        wheel(folder, _PACKAGE, {f"{_PACKAGE}.py": _APP}, needs, scripts, version)


def wheel(
    folder: Path, name: str, files: Mapping[str, str], needs: str = "", scripts: str = "", version: str = "1.0"
) -> None:
    """Make a wheel."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        tags = "Generator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\n{tags}")
        archive.writestr(f"{info}/entry_points.txt", scripts)
        archive.writestr(f"{info}/RECORD", "")


def once(place: Place, number: int) -> float:
    """Seconds of the deploy of one more app, from its step's beginning until it is healthy."""
    name = f"app{number}"
    spec = [
        f"name: {name}", 'version: "1.0"', f"source: {{package: {_PACKAGE}}}", f"run: {{command: {_PACKAGE}}}",
        f"env: {{PORT: '{free_port()}'}}",
    ]  # fmt: skip
    port = spec[-1].split("'")[1]
    spec.append(f"health: {{port: {port}, path: /}}")
    place.write(name, "\n".join(spec) + "\n")
    place.commit()
    record = place.synced()
    assert record["counts"] == {"ok": 1}, record
    event = next(e for e in reversed(place.parts.events.last(200)) if e.name == "deploy.stop" and e.app == name)
    return float(event.duration or 0.0)


def by_hand(place: Place, number: int) -> float:
    """Seconds of the same, by hand."""
    venv = place.folder / f"by-hand-{number}"
    cache = str(place.home / "cache" / "uv")
    environ = {**place.environ, "UV_CACHE_DIR": cache, "UV_LINK_MODE": "hardlink", "UV_NO_CONFIG": "1"}
    took = 0.0
    for argv in (venv_argv(uv_binary(), venv), install_argv(uv_binary(), venv, f"{_PACKAGE}==1.0")):
        took += seconds(lambda argv=argv: subprocess.run(argv, check=True, capture_output=True, env=environ))  # type: ignore[misc]
    port = free_port()
    argv = [str(venv / "bin" / _PACKAGE)]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        started.append(subprocess.Popen(argv, env={**environ, "PORT": str(port)}))
        until(lambda: answers(port))

    try:
        return took + seconds(start)
    finally:
        for process in started:
            process.kill()
            process.wait()


def answers(port: int) -> bool:
    """Whether somebody answers on `port`, and is well."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(scale: Scale) -> Sequence[Row]:
    """The ratio of the deploy to the same by hand; `base_python` is the interpreter of both."""
    with Place(runtime="process", UV_OFFLINE="1") as place:
        for name in [name for name in place.environ if name.startswith("UV_") and name != "UV_OFFLINE"]:
            del place.environ[name]
        shelf, index = place.folder / "shelf", place.folder / "index"
        shelf.mkdir()
        index.mkdir()
        make_index(shelf)
        place.environ.update(UV_FIND_LINKS=str(shelf), UV_DEFAULT_INDEX=index.as_uri())
        try:
            place.begin()
            once(place, 0)  # warms uv's cache, and starts the supervisor
            by_hand(place, 0)
            pairs = [(once(place, number), by_hand(place, number)) for number in range(1, scale.repeat + 1)]
        finally:
            place.kill("beat")
            place.kill("worker")
            place.stop_apps()
            strays.end(strays.find(place.home), grace=0)
    ratios = tuple(ours / hand for ours, hand in pairs)
    note = (
        f"{median([ours for ours, _ in pairs]) * 1000:.0f} ms, by hand "
        f"{median([hand for _, hand in pairs]) * 1000:.0f} ms, {Path(os.path.realpath(base_python())).name}"
    )
    return [Row("deploy from a warm cache to healthy", median(list(ratios)), "x", _LIMIT, ratios, note)]
