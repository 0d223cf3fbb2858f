"""From routes to what the front is told. With a real front: tests/runtimes/test_front.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.front import Front, RouteRefusedError
from runtimes.front_config import HTTP, HTTPS, Route, conflict, front_config, ports_of
from runtimes.supervisord import Supervisor

NAME = "shop.celeriac.io"
ROUTES = st.builds(
    Route,
    st.sampled_from([HTTP, HTTPS, 8080]),
    st.sampled_from(["", NAME, NAME.upper(), "blog.celeriac.io", "shop.localhost"]),
)


def servers(claims: Mapping[str, tuple[Route, ...]]) -> dict[str, Any]:
    found: dict[str, Any] = front_config(claims, admin="/a", storage="/s")["apps"]["http"]["servers"]
    return found


def led_to(server: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The host names of a server, in the order in which they are asked, and where each leads."""
    return [
        (
            route.get("match", [{"host": [""]}])[0]["host"][0],
            route["handle"][0].get("upstreams", [{"dial": route["handle"][0]["handler"]}])[0]["dial"],
        )
        for route in server["routes"]
    ]


@pytest.mark.parametrize(
    ("route", "secure", "ports"),
    [
        (Route(HTTP, NAME), False, {80, 443}),
        (Route(HTTPS, NAME), True, {443}),
        (Route(8443, NAME), True, {8443}),
        (Route(HTTP, "shop.localhost"), False, {80}),
        (Route(HTTPS), False, {443}),
    ],
)
def test_a_public_name_is_reached_by_https_and_one_on_port_80_needs_both(
    route: Route, secure: bool, ports: set[int]
) -> None:
    assert (route.secure, route.ports) == (secure, ports)


@pytest.mark.parametrize("wanted", [HTTP, HTTPS])
@pytest.mark.parametrize("claimed", [HTTP, HTTPS])
def test_a_public_name_belongs_to_one_app_on_the_port_that_80_leads_on_to_as_well(wanted: int, claimed: int) -> None:
    claims = {"shop": (Route(8080), Route(claimed, NAME))}
    told = conflict("blog", Route(wanted, NAME.upper()), claims)
    by_way = {(HTTP, HTTPS): " (port 80 leads there)", (HTTPS, HTTP): " (its port 80 leads there)"}
    assert told.endswith(f" is exposed by shop already{by_way.get((wanted, claimed), '')}")
    assert conflict("blog", Route(wanted, "blog.celeriac.io"), claims) == ""
    assert conflict("shop", Route(wanted, NAME), claims) == ""


def test_the_port_that_80_leads_on_to_is_not_for_plain_http_as_well() -> None:
    told = conflict("blog", Route(HTTPS), {"shop": (Route(HTTP, NAME),)})
    assert told == "port 443 would be plain HTTP, but shop has that port for HTTPS (its port 80 leads there)"
    told = conflict("shop", Route(HTTP, NAME), {"blog": (Route(HTTPS),)})
    assert told == f"port 443 for {NAME} would be HTTPS, but blog has that port for plain HTTP (port 80 leads there)"
    assert conflict("blog", Route(HTTP), {"shop": (Route(HTTP, NAME),)}) == ""


def test_an_app_that_makes_room_for_another_gives_up_what_that_one_is_to_have(home: Path) -> None:
    front = Front(home, Supervisor(home))
    (home / "front" / "routes").mkdir(parents=True)
    (home / "front" / "routes" / "web.json").write_bytes(json.dumps([{"port": 80, "host": NAME}]).encode())
    assert front.claims() == {"web": (Route(80, NAME),)}
    with pytest.raises(RouteRefusedError, match="is exposed by web already"):
        front.check("shop", Route(443, NAME))
    front.check("shop", Route(443, NAME), ["web"])


@given(st.lists(ROUTES, max_size=6))
def test_what_does_not_conflict_is_told_apart_by_the_front(wanted: list[Route]) -> None:
    claims: dict[str, tuple[Route, ...]] = {}
    for number, route in enumerate(wanted):
        if not conflict(f"app-{number}", route, claims):
            claims[f"app-{number}"] = (route,)
    for server in servers(claims).values():
        names = [host.lower() for host, _ in led_to(server)]
        assert len(names) == len(set(names))
        assert server["automatic_https"] in ({"disable": True}, {"disable_redirects": True})
    assert {int(name[5:]) for name in servers(claims)} == {
        port for routes in claims.values() for route in routes for port in route.ports
    }


def test_a_name_is_looked_for_before_the_app_that_takes_the_rest() -> None:
    found = servers({"rest": (Route(8080),), "shop": (Route(8080, "shop.localhost"),), "old": ()})
    assert led_to(found["port-8080"]) == [
        ("shop.localhost", "{file.apps/shop/live/upstream}"),
        ("", "{file.apps/rest/live/upstream}"),
    ]
    assert all(route["terminal"] for route in found["port-8080"]["routes"])


def test_a_name_that_no_app_has_is_not_found() -> None:
    found = servers({"shop": (Route(8080, "shop.localhost"),)})["port-8080"]["routes"]
    assert found[-1]["handle"][0]["status_code"] == 404
    assert "match" not in found[-1]


def test_port_80_of_a_public_name_redirects_to_where_the_app_is() -> None:
    found = servers({"shop": (Route(HTTP, NAME),)})
    handler = found["port-80"]["routes"][0]["handle"][0]
    assert (handler["status_code"], handler["headers"]["Location"]) == (
        308, ["https://{http.request.host}{http.request.uri}"],
    )  # fmt: skip
    assert led_to(found["port-443"])[0] == (NAME, "{file.apps/shop/live/upstream}")
    assert found["port-443"]["automatic_https"] == {"disable_redirects": True}


def test_the_control_socket_is_for_its_owner_only_and_nothing_is_kept_elsewhere() -> None:
    config = front_config({}, admin="/home/c/front/s", storage="/home/c/front/data")
    assert config["admin"] == {"listen": "unix//home/c/front/s|0600", "config": {"persist": False}}
    assert config["storage"] == {"module": "file_system", "root": "/home/c/front/data"}


@given(st.lists(ROUTES, max_size=4))
def test_the_ports_of_a_configuration_are_those_of_its_routes(routes: list[Route]) -> None:
    config = front_config({"shop": tuple(routes)}, admin="/a", storage="/s")
    assert ports_of(json.dumps(config).encode()) == {port for route in routes for port in route.ports}


@pytest.mark.parametrize(
    "config", [b"", b"{", b"null", b"[]", b'{"apps": 1}', b'{"apps": {"http": {"servers": [1]}}}', b"\xff",
                b'{"apps": {"http": {"servers": {"srv0": {}}}}}', b'{"apps": {"http": {"servers": 5}}}']
)  # fmt: skip
def test_what_is_no_configuration_of_ours_opens_no_ports(config: bytes) -> None:
    assert ports_of(config) == frozenset()
