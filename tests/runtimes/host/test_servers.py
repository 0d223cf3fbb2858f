"""Each server, real, in the process of the host."""

from __future__ import annotations

import http.client
import signal

import pytest
from hosting import WSGI, EventStream, Hosts, request, shop
from waiting import wait_for

from runtimes.host.servers import SERVERS, choose
from runtimes.host.target import kind_of

COMBINATIONS = [(kind, name) for name, server in SERVERS.items() for kind in sorted(server.kinds)]


@pytest.mark.parametrize(("kind", "server"), COMBINATIONS, ids=lambda value: value)
def test_an_app_is_served_reloaded_and_ended_on_every_server(hosts: Hosts, kind: str, server: str) -> None:
    host = hosts.start(hosts.release("1.0", kind=kind), server=server)
    kept = http.client.HTTPConnection("127.0.0.1", host.port, timeout=20)
    kept.request("GET", "/")
    kept.getresponse().read()
    socket = kept.sock
    stream = EventStream(host.port)
    assert stream.next() == "1.0 1"
    status = host.ask("status")
    assert (status["kind"], status["server"], status["pid"], status["version"]) == (kind, server, host.pid, "1.0")
    assert host.upgrade(hosts.release("2.0", kind=kind), "2.0")["loaded"] == ["shop.answers", "shop.web"]
    told = host.get()
    assert (told["version"], told["pid"], told["stamp"]) == ("2.0", host.pid, "2.0")
    assert told["hooks"] == [["1.0", "2.0"]]
    kept.request("GET", "/")
    assert kept.getresponse().status == 200
    assert kept.sock is socket
    kept.close()
    assert stream.next().startswith("1.0")
    stream.close()
    if (kind, server) == ("wsgi", "hypercorn"):  # it never tells a WSGI app that its client has gone
        return
    wait_for(lambda: host.ask("status")["long_lived"] == 0)
    host.ask("stop")
    assert host.process.wait(20) in (0, -signal.SIGTERM)


@pytest.mark.parametrize(("kind", "server"), COMBINATIONS, ids=lambda value: value)
def test_what_an_app_left_for_its_end_is_done_on_every_server(hosts: Hosts, kind: str, server: str) -> None:
    files = dict(shop("1.0", kind))
    files["shop/web.py"] += "\nimport atexit\natexit.register(print, 'all is put away')\n"
    host = hosts.start(hosts.release("1.0", files), server=server)
    host.process.terminate()
    by_signal = server == "uvicorn"  # once it has shut down it ends itself by the signal that it got
    assert host.process.wait(20) == (-signal.SIGTERM if by_signal else 0)
    assert ("all is put away" in host.log()) is not by_signal


def test_the_first_server_that_serves_the_kind_is_chosen() -> None:
    first = choose(["gunicorn", "granian", "uvicorn"], "asgi")
    assert first is not None
    assert first.name == "granian"
    assert choose(["uvicorn", "granian"], "wsgi") is None
    assert choose(["nothing"], "asgi") is None


def test_an_app_that_no_server_of_the_release_can_serve_says_so(hosts: Hosts) -> None:
    host = hosts.start(hosts.release("1.0", kind="wsgi"), server="uvicorn", wait=False)
    assert host.process.wait(20) == 1
    assert "shop.web:app is WSGI, and of the servers that the release brings (uvicorn) none serves that" in host.log()


def test_an_app_that_cannot_be_imported_ends_with_its_traceback(hosts: Hosts) -> None:
    host = hosts.start(hosts.release("1.0"), target="shop.nothing:app", wait=False)
    assert host.process.wait(20) == 1
    assert "No module named 'shop.nothing'" in host.log()


@pytest.mark.parametrize(
    ("port", "told"), [("", "it has no PORT"), ("web", "PORT is 'web'"), ("99999", "PORT is '99999'")]
)
def test_an_app_without_a_port_says_how_to_give_it_one(hosts: Hosts, port: str, told: str) -> None:
    host = hosts.start(hosts.release("1.0"), env={"PORT": port}, wait=False)
    assert host.process.wait(20) == 1
    assert told in host.log()
    assert "give it expose.port, a health.port, or PORT in env" in host.log()


def test_a_port_that_is_taken_is_named(hosts: Hosts) -> None:
    first = hosts.start(hosts.release("1.0"))
    second = hosts.start(hosts.release("1.0"), env={"PORT": str(first.port)}, wait=False)
    assert second.process.wait(20) == 1
    assert f"port {first.port} cannot be listened on: Address already in use" in second.log()


def test_a_startup_that_fails_ends_the_process(hosts: Hosts) -> None:
    files = shop("1.0")
    files["shop/web.py"] = files["shop/web.py"].replace('kind + ".complete"', 'kind + ".failed", "message": "no db"')
    host = hosts.start(hosts.release("1.0", files), wait=False)
    assert host.process.wait(20) != 0
    assert "no db" in host.log()


def test_gunicorn_heeds_its_own_settings(hosts: Hosts) -> None:
    env = {"GUNICORN_CMD_ARGS": "--limit-request-line 100 --workers 4"}
    host = hosts.start(hosts.release("1.0", kind="wsgi"), server="gunicorn", env=env)
    assert request(host.port, "/" + "x" * 200)[0] == 414
    assert host.get()["pid"] == host.pid


def test_a_signal_that_the_app_handles_stays_its_own_on_gunicorn(hosts: Hosts) -> None:
    handler = "import signal\nsignal.signal(signal.SIGHUP, lambda *_: state.events.append('hup'))\n"
    files = shop("1.0", "wsgi", shop__web=WSGI + handler)
    host = hosts.start(hosts.release("1.0", files), server="gunicorn")
    host.ask("reconfigure", digest="2", signal_name="SIGHUP")
    wait_for(lambda: host.get()["events"] == ["hup"])


def test_kinds_are_told_by_what_is_callable() -> None:
    import functools

    class Async:
        async def __call__(self, scope: object, receive: object, send: object) -> None: ...

    class Flask:
        def __call__(self, environ: object, start_response: object) -> None: ...

    async def bare(scope: object, receive: object, send: object) -> None: ...
    def returning(scope: object, receive: object, send: object) -> None: ...
    def wsgi(environ: object, start_response: object) -> None: ...

    assert {kind_of(app) for app in (Async(), bare, returning, functools.partial(bare))} == {"asgi"}
    assert {kind_of(app) for app in (Flask(), wsgi, functools.partial(wsgi))} == {"wsgi"}
