"""Embedded apps: releases whose environments really hold what guests share, and what a runtime needs to run them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from hosting import free_port, get, make_environment

from runtimes.base import RuntimeContext
from runtimes.guests import Guests
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor
from specs.digest import release_id
from specs.model import AppSpec, Health, Run

SERVERS = {"uvicorn": ("uvicorn", "h11", "click"), "waitress": ("waitress",), "hypercorn": (
    "hypercorn", "h11", "h2", "hpack", "hyperframe", "priority", "wsproto",
)}  # fmt: skip

# `/` calls `look()` of the module beside it.
ASGI = """
import json
from @P@.look import look

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only http")
    body = json.dumps(look(scope["path"])).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
WSGI = """
import json
from @P@.look import look

def app(environ, start_response):
    body = json.dumps(look(environ["PATH_INFO"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
LOOK = """
import os
def look(path):
    return {"app": os.environ["CELERIAC_APP"], "version": os.environ["CELERIAC_VERSION"], "code": "@V@",
            "pid": os.getpid(), "secret": os.environ.get("SECRET")}
"""


@dataclass
class Lodgers:
    """Releases of embedded apps of one home, and the context that a runtime is made with.

    `modules` and `fakes` are by app and version: the modules of its package (`package`), and distributions of a made-up
    kind, `name: (version, module text)`.
    """

    home: Path
    package: str = "shop"
    server: str = "uvicorn"
    modules: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    fakes: dict[tuple[str, str], dict[str, tuple[str, str]]] = field(default_factory=dict)
    extensions: dict[tuple[str, str], Path] = field(default_factory=dict)
    servers: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    told: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def spec(self, name: str = "one", version: str = "1.0", **more: Any) -> AppSpec:
        """An embedded app; each has a port of its own."""
        port = self.ports.setdefault(name, free_port())
        fields: dict[str, Any] = {
            "run": Run(app=f"{self.package}.web:app"),
            "health": Health(port=port, path="/", timeout=5.0, grace=20.0),
            "isolation": "embedded",
        }
        return AppSpec(name, version, **{**fields, **more})

    def get(self, name: str = "one", path: str = "/") -> Any:
        """What the app answers."""
        return get(self.ports[name], path)

    def log(self, name: str) -> str:
        """What the app printed."""
        return (self.home / "logs" / f"{name}.main.log").read_text()

    def build(self, spec: AppSpec) -> Path:
        """The release of a spec, complete or absent."""
        folder = self.home / "apps" / spec.name / "releases" / release_id(spec)
        if folder.is_dir():
            return folder
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        site = make_environment(part)
        server = self.servers.get(spec.name, self.server)
        for name in SERVERS[server]:
            install(name, site)
        for name, (version, text) in self.fakes.get((spec.name, spec.version), {}).items():
            fake(name, version, text, site, self.extensions.get((spec.name, spec.version)))
        package = part / "src" / self.package
        package.mkdir(parents=True)
        web = WSGI if server == "waitress" else ASGI
        files = {"__init__": "", "web": web, "look": LOOK, **self.modules.get((spec.name, spec.version), {})}
        for name, text in files.items():
            (package / f"{name}.py").write_text(text.replace("@P@", self.package).replace("@V@", spec.version))
        (part / "release.json").write_text(json.dumps({"distribution": "", "python": "3"}))
        part.rename(folder)
        return folder

    def resolve(self, spec: AppSpec, release: Path) -> dict[str, tuple[str, ...]]:
        """What `sources` would say."""
        python = str(release / "venv" / "bin" / "python")
        server = self.servers.get(spec.name, self.server)
        return {"main": (python, "-P", "$CELERIAC_HOST_PROGRAM", "--servers", server, spec.run.app)}

    def context(self, **more: Any) -> RuntimeContext:
        """What the runtime is made with; what it tells is kept."""

        def tell(name: str, spec: AppSpec, extra: Mapping[str, Any]) -> None:
            self.told.append((name, extra))

        return RuntimeContext(self.home, "node-1", build=self.build, resolve=self.resolve, tell=tell, **more)

    def heard(self, name: str) -> list[Mapping[str, Any]]:
        """The events of that name."""
        return [extra for told, extra in self.told if told == name]


def install(name: str, site: Path) -> None:
    """Put an installed distribution into `site`, as an installer does: its files, linked."""
    for file in distribution(name).files or ():
        if not file.as_posix().startswith("../") and "__pycache__" not in file.parts:
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(str(file.locate()))


def fake(name: str, version: str, text: str, site: Path, extension: Path | None = None) -> None:
    """Put a distribution of one module into `site`; with a C extension beside it, that of a package."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    files = {f"{name}.py": text.encode()}
    if extension is not None:
        files = {f"{name}/x.py": text.encode(), f"{name}/{extension.name}": extension.read_bytes()}
    for file, content in files.items():
        (site / file).parent.mkdir(exist_ok=True)
        (site / file).write_bytes(content)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    record = "".join(f"{file},sha256={version},1\n" for file in files)
    (info / "RECORD").write_text(f"{record}{info.name}/METADATA,,\n{info.name}/RECORD,,\n")


# Counts its requests, and says its version by code that can be reloaded.
COUNTING = """
import os
from @P@ import state
def look(path):
    state.hits += 1
    return {"code": "@V@", "hits": state.hits, "pid": os.getpid(), "hooks": state.hooks}
def code_change(old, new):
    state.hooks.append([old, new])
"""
COUNTER = {"look": COUNTING, "state": "hits = 0\nhooks = []\n"}


def host_pid(home: Path) -> int:
    """The shared host process."""
    return Guests(home, ProcessRuntime(Lodgers(home).context()).store, Supervisor(home)).pid()


def counters(lodgers: Lodgers, *names: str) -> None:
    """Have these apps count, and say their version by code that can be reloaded."""
    for name in names:
        for version in ("1.0", "1.1", "1.2"):
            lodgers.modules[name, version] = COUNTER
