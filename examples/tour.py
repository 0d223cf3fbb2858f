"""The tour that `make demo` gives once: three pushes, while requests arrive all the time.

A hot reload, an upgrade beside itself, and a version that is never healthy. What is said was seen: the numbers are
those of real requests, on new and on kept-alive connections, and each answer says which version gave it.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PATIENCE = 600.0
_STEP = 90.0
_PAUSE = 0.02


class TourError(Exception):
    """The tour cannot go on."""


@dataclass
class Visitors:
    """Ask `port` for `path` all the time, on a new connection each or on one that is kept. Threads; `end` ends them."""

    port: int
    path: str
    count: int = 0
    failed: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> Visitors:
        """Start asking."""
        for keep in (True, False):
            threading.Thread(target=self._ask_on, args=(keep,), daemon=True).start()
        return self

    def _ask_on(self, keep: bool) -> None:
        connection = _connect(self.port)
        while not self.ended.wait(_PAUSE):
            try:
                answer = _get(connection, self.path)
                self.versions.add(str(answer.get("version")))
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failed.append(f"{type(error).__name__}: {error}")
                connection.close()
            self.count += 1
            if not keep:
                connection.close()
                connection = _connect(self.port)
        connection.close()

    def told(self) -> str:
        """How many asked, and how many got no answer."""
        return f"{self.count} requests, {len(self.failed) or 'none'} failed"


class Tour:
    """Pushes, waits, and says what happened. `status` and `why` are Celeriac's, `sync` asks it to look at once."""

    def __init__(
        self,
        gitops: Path,
        ports: dict[str, int],
        *,
        commit: Callable[[str], None],
        status: Callable[[], dict[str, Any]],
        why: Callable[[str], dict[str, Any]],
        sync: Callable[[], object],
        say: Callable[[str], None],
    ) -> None:
        self._gitops, self._ports = gitops, ports
        self._commit, self._status, self._why, self._sync, self._say = commit, status, why, sync, say

    def wanted(self) -> bool:
        """Whether nothing was pushed yet."""
        return all(self._version(app) == "1.0.0" for app in ("counter", "greeter"))

    def play(self) -> list[Visitors]:
        """Give the tour; who visited counter and greeter meanwhile. Raises TourError."""
        self._until(lambda: self._all_well(), "all apps are healthy", _PATIENCE)
        counter = Visitors(self._ports["counter"], "/count").begin()
        greeter = Visitors(self._ports["greeter"], "/").begin()
        try:
            self._say("All are healthy. Now three pushes, while requests arrive all the time.")
            self._hot_reload(counter)
            self._beside(greeter)
            self._broken(greeter)
            self._say(f"counter: {counter.told()}. greeter: {greeter.told()}.")
            return [counter, greeter]
        finally:
            counter.ended.set()
            greeter.ended.set()

    def _hot_reload(self, visitors: Visitors) -> None:
        while (before := self._ask("counter", "/count"))["count"] < 42:
            self._ask("counter", "/")
        began = self._push("counter", "1.1.0")
        after = self._until_version("counter", "/count", "1.1.0")
        seconds = time.monotonic() - began
        double = self._ask("counter", "/double")["double"]
        same = "the same process" if after["process"] == before["process"] else "another process"
        self._say(
            f"1. counter 1.0.0 → 1.1.0 by hot reload, {seconds:.1f} s after the push: it said {before['count']} and"
            f" says {after['count']}, {same} ({after['process']}), and /double, which is new, says {double}."
            f" {visitors.told()}."
        )

    def _beside(self, visitors: Visitors) -> None:
        before = self._ask("greeter", "/")
        began = self._push("greeter", "1.1.0")
        after = self._until_version("greeter", "/", "1.1.0")
        seconds = time.monotonic() - began
        self._until(lambda: self._app("greeter")["sync"] == "synced", "greeter is synced", _STEP)
        self._say(
            f"2. greeter 1.0.0 → 1.1.0 beside itself, {seconds:.1f} s after the push: process {before['process']} said"
            f" {before['greeting']}, process {after['process']} says {after['greeting']}. {visitors.told()}."
        )

    def _broken(self, visitors: Visitors) -> None:
        self._push("greeter", "1.2.0")
        self._until(lambda: self._app("greeter")["reason"] == "RolledBack", "greeter 1.2.0 was given up", _STEP)
        found = self._why("greeter")
        reached = "1.2.0" in visitors.versions
        self._say(
            f"3. greeter 1.2.0 is never healthy: {'it was asked all the same' if reached else 'nobody was sent to it'},"
            f" 1.1.0 goes on. {visitors.told()}. celeriac why greeter says:"
        )
        self._say("\n".join(f"     {line}" for line in str(found["message"]).splitlines()[:6]))
        self._push("greeter", "1.1.0")
        self._until(self._all_well, "greeter is back at 1.1.0", _STEP)

    def _push(self, app: str, version: str) -> float:
        path = self._spec(app)
        text = re.sub(r"(?m)^version: .*$", f'version: "{version}"', path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        self._commit(f"{app} {version}")
        began = time.monotonic()
        self._sync()
        return began

    def _until_version(self, app: str, path: str, version: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def is_there() -> bool:
            found.update(self._ask(app, path))
            return found["version"] == version

        self._until(is_there, f"{app} answers with {version}", _STEP, 0.01)
        return found

    def _until(self, condition: Callable[[], bool], what: str, patience: float, pause: float = 0.2) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise TourError(f"waited {patience:g} s until {what}")
            time.sleep(pause)

    def _all_well(self) -> bool:
        found = self._status()
        return found["status"] == "synced" and found["healthy_count"] == found["app_count"] > 0

    def _app(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._status()["apps"].get(name, {"sync": "", "reason": ""})
        return found

    def _ask(self, app: str, path: str) -> dict[str, Any]:
        connection = _connect(self._ports[app])
        try:
            return _get(connection, path)
        finally:
            connection.close()

    def _version(self, app: str) -> str:
        found = re.search(r'(?m)^version: "?([^"\n]*)', self._spec(app).read_text(encoding="utf-8"))
        return found[1] if found else ""

    def _spec(self, app: str) -> Path:
        return self._gitops / "apps" / app / "app.yaml"


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=15)


def _get(connection: http.client.HTTPConnection, path: str) -> dict[str, Any]:
    """The JSON that is answered. Raises HTTPException for another status than 200."""
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise http.client.HTTPException(f"{path} answered {response.status}")
    found: dict[str, Any] = json.loads(body)
    return found
