"""The lifespan of an ASGI app: its startup and shutdown, driven by the gate and not by the server.

When the app's code is changed there is a new callable, which has a startup of its own to go through before it gets a
request, and an old one, which is shut down when its last connection has ended. No server knows that.
"""

from __future__ import annotations

import asyncio
from typing import Any

_LINGER = 1.0  # seconds for an app to return once it has said that it is shut down


class StartupFailed(Exception):  # noqa: N818 - what the app said, not a fault of ours
    """The app said that it cannot start."""


class Lifespan:
    """One callable's lifespan. `state` is what its startup leaves for its requests. Used in the event loop only."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self.supported = False
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Have the app start. Raises StartupFailed when it says so; an app that knows no lifespan is fine."""
        self._task = asyncio.ensure_future(self._run())
        self._messages.put_nowait({"type": "lifespan.startup"})
        answer = await self._answers.get()
        if answer["type"] == "lifespan.startup.failed":
            raise StartupFailed(answer.get("message") or "its startup failed")
        self.supported = answer["type"] == "lifespan.startup.complete"

    async def shutdown(self) -> str:
        """Have the app end; what it said went wrong, or nothing."""
        if not self.supported or self._task is None:
            return ""
        self.supported = False
        self._messages.put_nowait({"type": "lifespan.shutdown"})
        answer = await self._answers.get()
        await asyncio.wait([self._task], timeout=_LINGER)
        await self.cancel()
        if answer["type"] in {"lifespan.shutdown.complete", "ended"}:
            return ""
        return str(answer.get("message") or "its shutdown failed")

    async def cancel(self) -> None:
        """End what still goes on of it: a startup that is no longer wanted, an app that waits for one message more."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_LINGER)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._messages.get, self._answers.put)
        except Exception as error:  # noqa: BLE001 - apps that know no lifespan raise anything; the others are told of
            self._answers.put_nowait({"type": "unsupported", "message": f"{type(error).__name__}: {error}"})
        except asyncio.CancelledError:  # by us, or within the app: whoever waits for its answer must get one
            self._answers.put_nowait({"type": "unsupported", "message": "it was cancelled"})
            raise
        else:
            self._answers.put_nowait({"type": "ended"})
