"""What the front is told, as a value: from the routes of all apps to the configuration of Caddy. Pure.

The configuration names, for each route, the file in which the address of the live generation is found; Caddy reads it
at each request (`{file.…}`), and at each new try of one. So a switch changes a file and never the configuration:
reloading that would close the idle connections and WebSockets of every app.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

HTTP, HTTPS = 80, 443
WAIT = "10s"
IDLE = 0.5
_RESERVED = ("localhost", "local", "internal", "test", "example", "invalid", "home.arpa", "onion", "lan",
             "example.com", "example.net", "example.org")  # fmt: skip


class Route(msgspec.Struct, frozen=True, order=True):
    """What an app is reached by from outside. Without a host: by any name that no other app has."""

    port: int
    host: str = ""

    @property
    def secure(self) -> bool:
        """Whether it is reached by HTTPS: where the name is public, and the port is not the one for plain HTTP."""
        return self.port != HTTP and is_public(self.host)

    @property
    def ports(self) -> frozenset[int]:
        """The ports that are needed for it: a public name on port 80 leads to HTTPS."""
        return frozenset({HTTP, HTTPS} if self.port == HTTP and is_public(self.host) else {self.port})

    def __str__(self) -> str:
        return f"port {self.port}" + (f" for {self.host}" if self.host else "")


def is_public(host: str) -> bool:
    """Whether a certificate for `host` can be had: not for addresses, nor for names that mean something here only."""
    name = host.lower().rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." in name and not any(name == one or name.endswith(f".{one}") for one in _RESERVED)
    return False


def conflict(app: str, wanted: Route, claims: Mapping[str, Iterable[Route]]) -> str:
    """Why `app` cannot have `wanted` beside the routes that the other apps have; empty when it can."""
    for name, routes in sorted(claims.items()):
        others = [(route, theirs) for route in routes if name != app for theirs in _taken(route)]
        for mine, (route, theirs) in itertools.product(_taken(wanted), others):
            by_way = f" (port {wanted.port} leads there)" if mine != wanted else ""
            by_way = by_way or (f" (its port {route.port} leads there)" if theirs != route else "")
            if (theirs.port, theirs.host.lower()) == (mine.port, mine.host.lower()):
                return f"{mine} is exposed by {name} already{by_way}"
            if theirs.port == mine.port and theirs.secure != mine.secure:
                ours, other = ("HTTPS", "plain HTTP") if mine.secure else ("plain HTTP", "HTTPS")
                return f"{mine} would be {ours}, but {name} has that port for {other}{by_way}"
    return ""


def _taken(route: Route) -> tuple[Route, ...]:
    """All that a route is reached by: one for a public name on port 80 leads on to HTTPS."""
    return (route, Route(HTTPS, route.host)) if HTTPS in route.ports and route.port == HTTP else (route,)


def front_config(claims: Mapping[str, Iterable[Route]], *, admin: str, storage: str) -> dict[str, Any]:
    """The configuration for all routes. `admin` is the path of the control socket, `storage` of the certificates."""
    servers: dict[int, list[tuple[Route, Mapping[str, Any]]]] = {}
    for app, routes in claims.items():
        for route in routes:
            if route.port == HTTP and is_public(route.host):
                servers.setdefault(HTTP, []).append((route, _redirect()))
                servers.setdefault(HTTPS, []).append((Route(HTTPS, route.host), _proxy(app)))
            else:
                servers.setdefault(route.port, []).append((route, _proxy(app)))
    http = {f"port-{port}": _server(port, entries) for port, entries in sorted(servers.items())}
    return {
        "admin": {"listen": f"unix/{admin}|0600", "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "storage": {"module": "file_system", "root": storage},
        "apps": {"http": {"servers": http}},
    }


def ports_of(config: bytes) -> frozenset[int]:
    """The ports that a configuration opens; none when it is not one of ours."""
    try:
        servers = msgspec.json.decode(config)["apps"]["http"]["servers"]
        return frozenset(int(name.removeprefix("port-")) for name in servers)
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError):
        return frozenset()


def _server(port: int, entries: Sequence[tuple[Route, Mapping[str, Any]]]) -> dict[str, Any]:
    named_first = sorted(entries, key=lambda entry: (not entry[0].host, entry[0].host))
    routes = [
        {**({"match": [{"host": [route.host]}]} if route.host else {}), "handle": [handler], "terminal": True}
        for route, handler in named_first
    ]
    if all(route.host for route, _ in entries):
        routes.append({"handle": [{"handler": "static_response", "status_code": 404, "body": "no app has this name"}]})
    secure = any(route.secure for route, _ in entries)
    return {
        "listen": [f":{port}"],
        "routes": routes,
        "automatic_https": {"disable_redirects": True} if secure else {"disable": True},
    }


def _proxy(app: str) -> dict[str, Any]:
    """Hand a request to the live generation of `app`; while none takes connections, wait for one.

    Idle connections to the app are soon closed, by the front and never by the app: that is how a generation is known
    to have answered all it was asked, and why none is used just when the app closes it.
    """
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": "{file.apps/" + app + "/live/upstream}"}],
        "load_balancing": {"try_duration": WAIT, "try_interval": "50ms"},
        "transport": {
            "protocol": "http",
            "dial_timeout": "3s",
            "keep_alive": {"idle_timeout": f"{IDLE:g}s", "max_idle_conns_per_host": 256},
        },
        "stream_close_delay": "24h",
    }


def _redirect() -> dict[str, Any]:
    location = "https://{http.request.host}{http.request.uri}"
    return {"handler": "static_response", "status_code": 308, "headers": {"Location": [location]}}
