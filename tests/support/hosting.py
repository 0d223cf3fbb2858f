"""Hosted apps: releases as `sources` would build them, in no time, and hosts run from them.

A release has an environment of its own whose packages are those of the project's, so the servers are real ones.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from waiting import wait_for

from runtimes import launching
from runtimes.base import RuntimeContext
from runtimes.host_client import HostClient
from specs.digest import release_id
from specs.model import AppSpec, Health, Run, Upgrade

TARGET = "shop.web:app"


# An ASGI app without a framework: `/` tells what serves it, `/stream` is a stream of events, a WebSocket echoes.
ASGI = """
import asyncio, json, os
from shop import state
from shop.answers import answer

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            kind = message["type"]
            state.events.append(f"@V@ {kind}")
            scope["state"]["started"] = "@V@"
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": "@V@ " + message["text"]})
    elif scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        count = 0
        await receive()
        left = asyncio.ensure_future(receive())
        while not left.done():
            count += 1
            await send({"type": "http.response.body", "body": f"data: @V@ {count}\\n\\n".encode(), "more_body": True})
            await asyncio.wait([left], timeout=0.02)
    else:
        if scope["path"] == "/slow":
            open("slow", "w").close()
            while os.path.exists("slow"):
                await asyncio.sleep(0.01)
        state.hits += 1
        body = json.dumps(answer(scope.get("state", {}))).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""

WSGI = """
import json, os, time
from shop import state
from shop.answers import answer

def app(environ, start_response):
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        def events():
            count = 0
            while True:
                count += 1
                yield f"data: @V@ {count}\\n\\n".encode()
                time.sleep(0.02)
        return events()
    if environ["PATH_INFO"] == "/slow":
        open("slow", "w").close()
        while os.path.exists("slow"):
            time.sleep(0.01)
    state.hits += 1
    body = json.dumps(answer({})).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""

ANSWERS = """
import os
from shop import state

def answer(more):
    return {"version": "@V@", "hits": state.hits, "pid": os.getpid(), "hooks": state.hooks, "events": state.events,
            "greeting": os.environ.get("GREETING"), "stamp": os.environ["CELERIAC_VERSION"], **more}

def code_change(old, new):
    state.hooks.append([old, new])
"""

STATE = "hits = 0\nhooks = []\nevents = []\n"


def shop(version: str, kind: str = "asgi", **more: str) -> dict[str, str]:
    """The modules of the app `shop`, as files: those that say their version differ from one to the next."""
    files = {
        "shop/__init__.py": "",
        "shop/web.py": ASGI if kind == "asgi" else WSGI,
        "shop/answers.py": ANSWERS,
        "shop/state.py": STATE,
    }
    files.update({name.replace("__", "/") + ".py": text for name, text in more.items()})
    return {name: text.replace("@V@", version) for name, text in files.items() if text != "-"}


def make_hosted_release(folder: Path, files: Mapping[str, str], manifest: Mapping[str, Any] = {}) -> Path:
    """A complete release: an interpreter that finds `files` in `src` and the servers where this one does."""
    if folder.is_dir():
        return folder
    part = folder.with_name(f".{folder.name}.part")
    site = make_environment(part)
    (site / "servers.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for name, text in files.items():
        path = part / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (part / "release.json").write_text(json.dumps({"distribution": "", "python": "3", **manifest}))
    part.rename(folder)
    return folder


def make_environment(release: Path) -> Path:
    """A virtual environment in which `src` of `release` is found; its site-packages."""
    site = release / "venv" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    site.mkdir(parents=True)
    (release / "venv" / "bin").mkdir()
    base = Path(os.path.realpath(sys.executable))
    (release / "venv" / "bin" / "python").symlink_to(base)
    (release / "venv" / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    (site / "_celeriac_src.pth").write_text("../../../../src\n")
    return site


def wheel_of(name: str, folder: Path) -> None:
    """The wheel that an installed pure Python distribution came from, for an index without a net."""
    files = [file for file in distribution(name).files or () if not file.as_posix().startswith("../")]
    info = next(file.parts[0] for file in files if file.name == "METADATA" and file.parent.suffix == ".dist-info")
    with zipfile.ZipFile(folder / f"{info.removesuffix('.dist-info')}-py3-none-any.whl", "w") as archive:
        for file in files:
            if "__pycache__" not in file.parts and file.name != "RECORD":
                archive.writestr(file.as_posix(), file.read_binary())
        archive.writestr(f"{info}/RECORD", "")


def app_wheel(folder: Path, version: str, files: Mapping[str, str], requires: Iterable[str] = ()) -> Path:
    """A wheel of the app `shop`, without a build."""
    info, path = f"shop-{version}.dist-info", folder / f"shop-{version}-py3-none-any.whl"
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: shop\nVersion: {version}\n{needs}")
        tags = "Generator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\n{tags}")
        archive.writestr(f"{info}/RECORD", "")
    return path


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str = "/", timeout: float = 20.0) -> Any:
    """The JSON answer of one request."""
    status, _, body = request(port, path, timeout)
    assert status == 200, (status, body)
    return json.loads(body)


def request(port: int, path: str = "/", timeout: float = 20.0) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


class EventStream:
    """A stream of events that is read from for as long as a test likes."""

    def __init__(self, port: int, path: str = "/stream") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.request("GET", path)
        self._response = self._connection.getresponse()

    def next(self) -> str:
        """The next event."""
        line = b"\n"
        while line == b"\n":
            line = self._response.readline()
        assert line, "the stream ended"
        return line.decode().removeprefix("data: ").strip()

    def close(self) -> None:
        self._response.close()
        self._connection.close()


class WebSocket:
    """As much of a WebSocket client as an echo needs."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        self._socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._file = self._socket.makefile("rb")
        assert b" 101 " in self._file.readline()
        while self._file.readline() != b"\r\n":
            pass

    def echo(self, text: str) -> str:
        """Send `text`; what comes back."""
        mask, data = b"\1\2\3\4", text.encode()
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self._socket.sendall(bytes([0x81, 0x80 | len(data)]) + mask + masked)
        head = self._file.read(2)
        return self._file.read(head[1]).decode()

    def close(self) -> None:
        self._socket.close()
        self._file.close()


@dataclass
class RunningHost:
    """A host without a supervisor: what the launcher would start, started by a test."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def client(self) -> HostClient:
        """A connection to its control socket."""
        return HostClient(self.folder, "main", self.pid)

    def ask(self, command: str, timeout: float = 30.0, **fields: Any) -> Mapping[str, Any]:
        """One command on a connection of its own."""
        with self.client() as client:
            return client.ask(command, timeout=timeout, **fields)

    def upgrade(self, release: Path, version: str, **more: Any) -> Mapping[str, Any]:
        """Suspend, upgrade, resume: the answer of the upgrade."""
        with self.client() as client:
            client.ask("suspend", timeout=30, bound=True)
            return client.ask("upgrade", timeout=30, release=str(release), version=version, digest=version, **more)

    def get(self, path: str = "/") -> Any:
        return get(self.port, path)

    def log(self) -> str:
        return (self.folder / "log").read_text()


@dataclass
class Hosts:
    """Starts hosts below `folder`; ends them by id."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def release(self, version: str, files: Mapping[str, str] | None = None, kind: str = "asgi") -> Path:
        """A release of the app."""
        return make_hosted_release(self.folder / "releases" / version, files or shop(version, kind))

    def start(
        self,
        release: Path,
        *,
        server: str = "uvicorn",
        target: str = TARGET,
        env: Mapping[str, str] = {},
        wait: bool = True,
    ) -> RunningHost:
        """Run `target` of `release` and wait until it answers."""
        port = free_port()
        (self.folder / "run").mkdir(exist_ok=True, mode=0o700)
        (self.folder / "data").mkdir(exist_ok=True)
        env_file = self.folder / "env"
        env_file.write_text(json.dumps(dict(env)))
        manifest = {
            "name": "shop", "version": release.name, "revision": "r", "digest": release.name, "node": "n",
            "release": str(release), "home_id": "h", "side": "blue", "env_file": str(env_file), "port": port,
        }  # fmt: skip
        environ = launching.environment(manifest, env, os.environ, "main")
        python = str(release / "venv" / "bin" / "python")
        argv = [python, "-P", environ["CELERIAC_HOST_PROGRAM"], "--servers", server, target]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(argv, env=environ, cwd=self.folder / "data", stdout=log, stderr=log)
        self.started.append(process)
        host = RunningHost(self.folder, port, process)
        if wait:
            wait_for(lambda: process.poll() is not None or answers(port))
            assert process.poll() is None, host.log()
        return host

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()


def answers(port: int) -> bool:
    """Whether there is an HTTP answer on `port`."""
    try:
        return request(port, "/", 5.0)[0] > 0
    except (OSError, http.client.HTTPException):
        return False


@dataclass
class HostedApp:
    """What a process runtime is given to run the app: releases by version, made from the files that a test says."""

    home: Path
    port: int
    kind: str = "asgi"
    server: str = "uvicorn"
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def spec(self, version: str, **more: Any) -> AppSpec:
        """The spec of a version."""
        fields: dict[str, Any] = {
            "run": Run(app=TARGET),
            "health": Health(port=self.port, path="/", timeout=5.0, grace=20.0),
            "upgrade": Upgrade("hot_reload"),
        }
        return AppSpec("shop", version, **{**fields, **more})

    def build(self, spec: AppSpec) -> Path:
        """The release of a spec."""
        folder = self.home / "apps" / spec.name / "releases" / release_id(spec)
        files = self.files.get(spec.version) or shop(spec.version, self.kind)
        return make_hosted_release(folder, files, self.manifests.get(spec.version, {}))

    def resolve(self, spec: AppSpec, release: Path) -> dict[str, tuple[str, ...]]:
        """What `sources` would say, with this server."""
        python = str(release / "venv" / "bin" / "python")
        if spec.run.processes:
            return {name: (python, *argv[1:]) for name, argv in spec.run.processes.items()}
        return {"main": (python, "-P", "$CELERIAC_HOST_PROGRAM", "--servers", self.server, spec.run.app)}

    def context(self, **more: Any) -> RuntimeContext:
        """What the runtime is made with; what it tells is kept."""

        def tell(name: str, spec: AppSpec, extra: Mapping[str, Any]) -> None:
            self.told.append((name, extra))

        return RuntimeContext(self.home, "node-1", build=self.build, resolve=self.resolve, tell=tell, **more)

    def heard(self, name: str) -> list[Mapping[str, Any]]:
        """The events of that name."""
        return [extra for told, extra in self.told if told == name]

    def get(self, path: str = "/") -> Any:
        return get(self.port, path)


# The smallest app: what `case.look.look()` returns, as JSON.
_CASE = """
import json
from case.look import look

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only http")
    body = json.dumps(look()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""


@dataclass
class Case:
    """An app whose two versions a test spells out, module by module: `case.look` has the function `look`."""

    hosts: Hosts

    def start(self, modules: Mapping[str, str], **options: Any) -> RunningHost:
        """Serve the first version."""
        return self.hosts.start(self._release("1.0", modules), target="case.web:app", **options)

    def upgrade(self, host: RunningHost, modules: Mapping[str, str], version: str = "2.0") -> Mapping[str, Any]:
        """Reload the next version."""
        return host.upgrade(self._release(version, modules), version)

    def _release(self, version: str, modules: Mapping[str, str]) -> Path:
        files = {"case/web.py": _CASE, **({} if "__init__" in modules else {"case/__init__.py": ""})}
        for name, text in modules.items():
            files[f"case/{name}" if "." in name else f"case/{name}.py"] = text
        return self.hosts.release(version, files)
