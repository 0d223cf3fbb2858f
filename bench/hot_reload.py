"""Hot reloads in a row under load: requests that fail on new and on kept-alive connections, and the longest one.

The app is ASGI on uvicorn, fifty modules that all import the one that changes. The load comes from other processes.
And from a push to the new version's answer: the whole pipeline, with a package from a cached index.
"""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.load import Load
from bench.measure import Scale, median, until
from bench.place import Place
from bench.table import Row

# isort: split
from hosting import HostedApp, app_wheel, free_port, wheel_of  # tests/support, on the path since bench.place

from runtimes import strays
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor

_RATE = 200.0  # requests a second, both kinds of connections together
_MODULES = 50
_LONGEST = 0.250
_PUSH = 1.0
_WEB = """
from shop import version
{imports}

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only http")
    body = version.VERSION.encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": body}})
"""
_BODY = "".join(f"\ndef f{number}(a, b=None):\n    return [a, b, VERSION, {number}]\n" for number in range(25))


def modules(version: str, count: int) -> dict[str, str]:
    """The app as files: `count` modules, each of which imports the version and the module before it. Pure."""
    names = [f"m{number:02}" for number in range(count - 2)]
    files = {"shop/__init__.py": "", "shop/version.py": f"VERSION = {version!r}\n"}
    for before, name in zip([None, *names], names, strict=False):
        more = f"from shop import {before}\n" if before else ""
        files[f"shop/{name}.py"] = f"from shop.version import VERSION\n{more}{_BODY}"
    files["shop/web.py"] = _WEB.format(imports="\n".join(f"from shop import {name}" for name in names))
    return files


def under_load(requests: int, reloads: int) -> Sequence[Row]:
    """`requests` on each kind of connections, with `reloads` spread over them."""
    folder = Path(tempfile.mkdtemp(prefix="clr-", dir="/tmp"))
    app = HostedApp(folder / "home", free_port())
    runtime = ProcessRuntime(app.context())
    for number in range(reloads + 1):
        app.files[f"1.{number}"] = modules(f"1.{number}", _MODULES)
    try:
        app.home.mkdir()
        first = runtime.deploy(app.spec("1.0"))
        with Load(app.port, _RATE / 2, "new") as new, Load(app.port, _RATE / 2, "kept") as kept:
            for number in range(1, reloads + 1):
                part = requests * number // (reloads + 1)
                until(lambda part=part: min(new.count(), kept.count()) >= part, 0.05)  # type: ignore[misc]
                state = runtime.upgrade(app.spec(f"1.{number}"), f"1.{number - 1}")
                assert (state.pid, state.version) == (first.pid, f"1.{number}"), state
            until(lambda: min(new.count(), kept.count()) >= requests, 0.05)
    finally:
        Supervisor(app.home).shutdown()
        strays.end(strays.find(app.home), grace=0)
        shutil.rmtree(folder, ignore_errors=True)
    held = [event["held_seconds"] for event in app.heard("code.load")]
    assert [len(event["modules"]) for event in app.heard("code.load")] == [_MODULES] * reloads
    rows = [
        Row(
            f"hot reload: failed of {load.found.requests}, {name} connections", len(load.found.failed), "n", 0,
            note=f"{reloads} reloads in one process" + "".join(f"; {problem}" for problem in load.found.failed[:3]),
        )
        for name, load in (("new", new), ("kept-alive", kept))
    ]  # fmt: skip
    longest = max(new.found.longest, kept.found.longest)
    return [
        *rows,
        Row(f"hot reload: longest request, {_MODULES} modules", longest, "ms", _LONGEST, (), f"{_RATE:.0f} a second"),
        Row(
            "hot reload: requests are held", median(held), "ms", None, tuple(held), f"at most {max(held) * 1000:.0f} ms"
        ),
    ]


def from_push(repeat: int) -> Sequence[Row]:
    """Seconds from a commit, and the sync that it asks for, until the new version answers."""
    samples = []
    with Place(runtime="process", UV_OFFLINE="1") as place:
        for name in [name for name in place.environ if name.startswith("UV_") and name != "UV_OFFLINE"]:
            del place.environ[name]
        shelf, index = place.folder / "shelf", place.folder / "index"
        shelf.mkdir()
        index.mkdir()
        for needed in ("uvicorn", "click", "h11"):
            wheel_of(needed, shelf)
        place.environ.update(UV_FIND_LINKS=str(shelf), UV_DEFAULT_INDEX=index.as_uri())
        port = free_port()
        try:
            place.begin()
            for number in range(repeat + 1):
                version = f"1.{number}"
                app_wheel(shelf, version, modules(version, _MODULES), requires=("uvicorn",))
                place.write("shop", json.dumps({
                    "name": "shop", "version": version, "run": {"app": "shop.web:app"},
                    "health": {"port": port, "path": "/"}, "upgrade": {"strategy": "hot_reload"},
                }))  # fmt: skip
                place.commit()
                with ThreadPoolExecutor(1) as watch:
                    began = time.monotonic()
                    answered = watch.submit(_seconds_until, port, version, began)
                    record = place.synced()
                    assert record["counts"] == {"ok": 1}, record
                    samples.append(answered.result())
            loads = [event for event in place.parts.events.last(500) if event.name == "code.load"]
            assert len(loads) == repeat, place.parts.events.last(50)
        finally:
            place.kill("beat")
            place.kill("worker")
            place.stop_apps()
            strays.end(strays.find(place.home), grace=0)
    taken = samples[1:]
    name = "hot reload: from push to the new version's answer"
    return [Row(name, median(taken), "s", _PUSH, tuple(taken), "a sync is asked for, cached package")]


def _seconds_until(port: int, version: str, began: float) -> float:
    until(lambda: _answer(port) == version, 0.01)
    return time.monotonic() - began


def _answer(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except OSError:
        return ""
    finally:
        connection.close()


def measure(scale: Scale) -> Sequence[Row]:
    """Both."""
    return [*under_load(scale.requests, scale.switches), *from_push(scale.repeat)]
