"""The lifespan of apps as people write them: well, in part, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runtimes.host import lifespan
from runtimes.host.lifespan import Lifespan, StartupFailed

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
STARTED = {"type": "lifespan.startup.complete"}
SHUT_DOWN = {"type": "lifespan.shutdown.complete"}


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifespan, "_LINGER", 0.01)


def lived(app: Callable[..., Awaitable[None]]) -> tuple[Lifespan, str, set[str]]:
    """The lifespan after its startup and shutdown, what went wrong, and the tasks that are left of it."""

    async def live() -> tuple[Lifespan, str, set[str]]:
        async with asyncio.timeout(20):
            one = Lifespan(app)
            await one.startup()
            problem = await one.shutdown()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            return one, problem, {str(task.get_coro()) for task in left}

    return asyncio.run(live())


def test_an_app_is_started_leaves_its_state_and_is_shut_down() -> None:
    told: list[str] = []

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        told.append((await receive())["type"])
        scope["state"]["pool"] = "made"
        await send(STARTED)
        told.append((await receive())["type"])
        await send(SHUT_DOWN)
        told.append("returned")

    one, problem, left = lived(app)
    assert (problem, left, one.state) == ("", set(), {"pool": "made"})
    assert told == ["lifespan.startup", "lifespan.shutdown", "returned"]


def test_an_app_that_says_that_it_cannot_start_is_taken_at_its_word() -> None:
    async def app(scope: object, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(StartupFailed, match="no database"):
        lived(app)


@pytest.mark.parametrize("error", [KeyError("lifespan"), AssertionError(), asyncio.CancelledError()])
def test_an_app_that_raises_at_its_start_knows_no_lifespan(error: BaseException) -> None:
    async def app(scope: object, receive: Receive, send: Send) -> None:
        raise error

    one, problem, left = lived(app)
    assert (one.supported, problem, left) == (False, "", set())


def test_a_startup_that_was_cancelled_from_within_is_not_waited_for_for_ever() -> None:
    async def app(scope: object, receive: Receive, send: Send) -> None:
        await receive()
        task = asyncio.ensure_future(asyncio.sleep(600))
        task.cancel()
        await task

    one, problem, left = lived(app)
    assert (one.supported, problem, left) == (False, "", set())


def test_an_app_that_returns_right_after_its_startup_has_nothing_to_shut_down() -> None:
    async def app(scope: object, receive: Receive, send: Send) -> None:
        await receive()
        await send(STARTED)

    assert lived(app)[1:] == ("", set())


def test_an_app_that_never_returns_after_its_shutdown_is_not_waited_for_for_ever() -> None:
    async def app(scope: object, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})

    assert lived(app)[1:] == ("", set())


def test_an_app_that_cannot_even_be_cancelled_is_left() -> None:
    async def app(scope: object, receive: Receive, send: Send) -> None:
        await receive()
        await send(STARTED)
        await receive()
        await send(SHUT_DOWN)
        for _ in range(2):  # the second is for the end of the event loop
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                continue

    assert lived(app)[1] == ""


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"type": "lifespan.shutdown.failed", "message": "disk full"}, "disk full"),
        ({"type": "lifespan.shutdown.failed"}, "its shutdown failed"),
        (None, "ValueError: at the end"),
    ],
)
def test_a_shutdown_that_goes_wrong_is_told(answer: dict[str, Any] | None, problem: str) -> None:
    async def app(scope: object, receive: Receive, send: Send) -> None:
        await receive()
        await send(STARTED)
        await receive()
        if answer is None:
            raise ValueError("at the end")
        await send(answer)

    assert lived(app)[1:] == (problem, set())


def test_a_startup_that_is_given_up_is_ended_and_shutting_down_twice_is_nothing() -> None:
    ended: list[str] = []

    async def app(scope: object, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended.append("ended")

    async def live() -> None:
        one = Lifespan(app)
        starting = asyncio.ensure_future(one.startup())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        starting.cancel()
        await one.cancel()
        assert (await one.shutdown(), await one.shutdown()) == ("", "")

    asyncio.run(live())
    assert ended == ["ended"]
