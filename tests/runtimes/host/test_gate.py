"""Requests before, during and after a suspension, as clients see them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hosting import EventStream, Hosts, RunningHost, WebSocket, get, request
from waiting import wait_for

from runtimes.host_client import HostRefused

KINDS = [("asgi", "uvicorn"), ("wsgi", "waitress")]


@pytest.fixture(params=KINDS, ids=lambda pair: f"{pair[0]} on {pair[1]}")
def host(request: pytest.FixtureRequest, hosts: Hosts) -> RunningHost:
    kind, server = request.param
    return hosts.start(hosts.release("1.0", kind=kind), server=server)


def held(host: RunningHost) -> int:
    return int(host.ask("status")["held"])


def test_requests_are_held_while_suspended_and_answered_afterwards(host: RunningHost) -> None:
    host.ask("suspend", seconds=60, hold=60)
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(host.get) for _ in range(5)]
        wait_for(lambda: held(host) == 5)
        assert not any(answer.done() for answer in answers)
        host.ask("resume")
        assert [answer.result(20)["version"] for answer in answers] == ["1.0"] * 5
    wait_for(lambda: host.ask("status")["in_flight"] == 0)


def test_beyond_the_queue_there_is_503_with_retry_after(host: RunningHost) -> None:
    host.ask("suspend", seconds=60, hold=60, queue=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(host.get)
        wait_for(lambda: held(host) == 1)
        status, headers, _ = request(host.port)
        assert (status, {name.lower(): value for name, value in headers.items()}["retry-after"]) == (503, "1")
        host.ask("resume")
        assert first.result(20)["version"] == "1.0"


def test_one_that_is_held_too_long_gets_503(host: RunningHost) -> None:
    host.ask("suspend", seconds=60, hold=0.05)
    assert request(host.port)[0] == 503
    assert held(host) == 0
    host.ask("resume")
    assert host.get()["version"] == "1.0"


def test_a_suspension_ends_by_itself(host: RunningHost) -> None:
    host.ask("suspend", seconds=0.2, hold=60)
    assert host.get()["version"] == "1.0"
    assert host.ask("status")["suspended"] is False


def test_a_suspension_that_is_bound_ends_with_its_connection(host: RunningHost) -> None:
    with host.client() as client:
        client.ask("suspend", seconds=600, hold=60, bound=True)
        assert host.ask("status")["suspended"] is True
    assert host.get()["version"] == "1.0"


def test_suspending_waits_for_a_request_inside_and_gives_up_in_time(host: RunningHost) -> None:
    gate = host.folder / "data" / "slow"
    slow = threading.Thread(target=get, args=(host.port, "/slow", 60.0))
    slow.start()
    wait_for(gate.exists)
    with pytest.raises(HostRefused, match="1 requests had not ended"):
        host.ask("suspend", drain=0.05)
    assert host.get()["version"] == "1.0"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(host.ask, "suspend", drain=30)
        wait_for(lambda: bool(host.ask("status")["suspended"]))
        assert not waiting.done()
        gate.unlink()
        assert waiting.result(20)["ok"]
    slow.join()


def test_who_is_held_when_the_app_is_stopped_is_answered(host: RunningHost) -> None:
    host.ask("suspend", seconds=60, hold=60)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(host.get)
        wait_for(lambda: held(host) == 1)
        host.ask("stop")
        assert answer.result(20)["version"] == "1.0"
    host.process.wait(20)


def test_who_asks_on_after_the_stop_does_not_hurry_it(host: RunningHost) -> None:
    gate = host.folder / "data" / "slow"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, host.port, "/slow", 60.0)
        wait_for(gate.exists)
        with host.client() as client:
            client.ask("stop")
            for _ in range(3):  # each of which a server would take for a second signal, and end at once
                assert client.ask("status")["in_flight"] == 1
        gate.unlink()
        assert answer.result(20)
    host.process.wait(20)


def test_nobody_waits_for_a_stream_of_events(host: RunningHost) -> None:
    stream = EventStream(host.port)
    assert stream.next() == "1.0 1"
    host.ask("suspend", drain=20)
    assert stream.next() == "1.0 2"
    status = host.ask("status")
    assert (status["long_lived"], status["in_flight"]) == (1, 0)
    host.ask("resume")
    stream.close()


def test_a_websocket_goes_on_while_requests_are_held(hosts: Hosts) -> None:
    host = hosts.start(hosts.release("1.0"), server="hypercorn")
    socket = WebSocket(host.port)
    assert socket.echo("a") == "1.0 a"
    host.ask("suspend", drain=20)
    assert socket.echo("b") == "1.0 b"
    host.ask("resume")
    socket.close()


def test_a_websocket_that_is_refused_is_closed(hosts: Hosts) -> None:
    host = hosts.start(hosts.release("1.0"))
    host.ask("suspend", hold=0.05)
    with pytest.raises(AssertionError):
        WebSocket(host.port)
    host.ask("resume")
    WebSocket(host.port).close()
