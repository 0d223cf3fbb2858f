"""An app that uses more memory than it may, on a whole Celeriac: what people and programs get to see of it."""

from __future__ import annotations

import json

import pytest
from machine import Machine
from waiting import is_running, wait_for

from runtimes import cgroups, strays
from runtimes.limits import place
from runtimes.supervisord import Supervisor
from state.events import Event

pytestmark = pytest.mark.e2e

HERE = place("memory", cgroups.groups_of()).mechanism


@pytest.mark.parametrize("setting", ["auto", "off"])
def test_an_app_over_its_memory_is_killed_alone_restarted_and_reported(setting: str) -> None:
    with Machine(CELERIAC_CGROUPS=setting) as here:
        here.greedy("greedy", "64MB")
        here.greedy("modest", "64MB")
        here.deployed()
        old, neighbour = here.pid("greedy"), here.pid("modest")
        mechanism = "rlimit" if setting == "off" else HERE
        assert here.live("greedy").limits["memory"] == mechanism
        here.let("greedy", "open")

        def kills() -> list[Event]:
            return [one for one in here.engine.events.last(1000) if one.result == "killed"]

        wait_for(lambda: bool(kills()))
        [event] = kills()
        text = f"killed: over its memory limit of 64MB ({mechanism})"
        assert (event.name, event.app, event.error) == ("health.check", "greedy", f"main {text}")
        assert event.extra == {"reason": "OutOfMemory", "process": "main", "limit": 64_000_000, "by": mechanism}

        wait_for(lambda: here.is_synced() and here.status()["apps"]["greedy"]["pid"] not in (None, old))
        wait_for(lambda: bool(here.live("greedy").limits))  # not told of what is still being started
        assert not is_running(old)
        assert here.pid("modest") == neighbour
        app = json.loads(here.cli("app", "greedy", "--json"))
        assert (app["sync"], app["status"], app["health"]) == ("synced", "running", "healthy")
        assert (app["limits"]["memory"], set(app["limits"])) == (mechanism, {"memory", "cpus"})
        assert f"memory={mechanism}" in here.cli("app", "greedy")
        assert (app["reason"], app["message"]) == ("OutOfMemory", f"{text}, restarted")
        why = json.loads(here.cli("why", "greedy", "--json"))
        assert "was killed for that, and was started again" in why["explanation"]
        assert "raise limits.memory in apps/greedy/app.yaml" in why["next"]
        assert any(f"celeriac: main was {text}" in entry["line"] for entry in why["log"])
        assert here.live("modest").reason == ""
        assert len(kills()) == 1, "told once"
        Supervisor(here.home).shutdown()
        assert cgroups.present(str(here.home), strays.home_id(here.home)) == []
