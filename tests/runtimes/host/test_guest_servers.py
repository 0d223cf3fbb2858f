"""How the server of a guest is told to end, and which one serves it. Each at work is in `tests/runtimes/embedded`."""

from __future__ import annotations

import asyncio
import threading

import pytest

from runtimes.host.door import Door
from runtimes.host.guest_servers import KINDS, SERVES, Stopper, _call_soon, choose


def test_what_is_told_before_the_server_can_hear_it_it_hears_then() -> None:
    heard: list[str] = []
    stopper = Stopper(Door())
    stopper.stop()
    assert (stopper.told, heard) == (True, [])
    stopper.by(lambda: heard.append("stop"))
    assert heard == ["stop"]


def test_a_server_is_told_once_however_often_and_by_whom() -> None:
    heard: list[str] = []
    stopper = Stopper(Door())
    stopper.by(lambda: heard.append("stop"))
    threads = [threading.Thread(target=stopper.stop) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert heard == ["stop"]


def test_a_server_that_tells_itself_to_end_while_it_is_told_does_not_wait_for_itself() -> None:
    stopper = Stopper(Door())
    stopper.by(stopper.stop)
    stopper.stop()
    assert stopper.told


@pytest.mark.parametrize(
    ("names", "kind", "chosen"),
    [
        (["gunicorn", "granian", "uvicorn"], "asgi", "uvicorn"),
        (["uvicorn", "hypercorn", "waitress"], "wsgi", "hypercorn"),
        (["waitress", "hypercorn"], "wsgi", "waitress"),
        (["uvicorn"], "wsgi", ""),
        (["gunicorn"], "wsgi", ""),
        ([], "asgi", ""),
    ],
)
def test_the_first_that_can_serve_a_guest_of_that_kind_is_chosen(names: list[str], kind: str, chosen: str) -> None:
    assert choose(names, kind) == chosen


def test_each_that_can_be_chosen_can_serve() -> None:
    assert KINDS.keys() == SERVES.keys()


def test_a_loop_that_has_ended_is_not_called() -> None:
    called: list[str] = []
    loop = asyncio.new_event_loop()
    _call_soon(loop, lambda: called.append("open"))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    _call_soon(loop, lambda: called.append("closed"))
    assert called == ["open"]
