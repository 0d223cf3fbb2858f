"""Starting and stopping what one machine needs: real processes under a real supervisor.

The Redis here is one that nobody runs, so the services only wait for it; the whole of Celeriac at work
is the end-to-end tests' matter.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import wait_for

from celeriac.settings import Settings
from tasks import services
from tasks.service_config import Places, Program
from tasks.service_supervisor import Record, ServiceSupervisor


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings() -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="celeriac-") as home:  # pytest's folders are too deep for a socket
        made = Settings(
            home=Path(home),
            repo_url="/nowhere",
            node="test",
            concurrency=1,
            redis_url=f"redis://127.0.0.1:{free_port()}/0",
            flower_port=free_port(),
        )
        yield made
        services.stop(made, at_once=True)


def test_up_twice_is_up_once_and_down_leaves_nothing(settings: Settings) -> None:
    assert not services.running(settings)
    assert services.status(settings) == []
    first = services.start(settings)
    assert (first.already, first.changed) == (False, False)
    assert services.running(settings)
    assert [service.name for service in services.status(settings)] == ["worker", "beat", "flower"]
    again = services.start(settings)
    assert (again.already, again.changed) == (True, False)
    assert again.addresses == first.addresses == {"dashboard": f"http://127.0.0.1:{settings.flower_port}"}
    assert services.stop(settings, at_once=True) is True
    assert not services.running(settings)
    assert services.stop(settings) is False


def test_services_that_run_with_other_settings_are_noticed_and_left(settings: Settings) -> None:
    services.start(settings)
    found = services.start(replace(settings, branch="other"))
    assert (found.already, found.changed) == (True, True)


def test_dashboard_takes_another_port_when_its_own_is_taken(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.flower_port)):
        started = services.start(settings)
    assert started.addresses["dashboard"] != f"http://127.0.0.1:{settings.flower_port}"
    assert services.addresses(settings) == started.addresses


def test_killed_supervisor_is_replaced_by_the_next_start(settings: Settings) -> None:
    services.start(settings)
    record = ServiceSupervisor(Places.of(settings.home, Path(tempfile.gettempdir()))).record()
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    assert services.start(settings).already is False
    assert services.running(settings)


def test_home_folder_is_for_its_owner_alone(settings: Settings) -> None:
    services.start(replace(settings, home=settings.home / "h"))
    try:
        assert (settings.home / "h").stat().st_mode & 0o777 == 0o700
        assert (settings.home / "h" / "services").stat().st_mode & 0o777 == 0o700
    finally:
        services.stop(replace(settings, home=settings.home / "h"), at_once=True)


def test_a_service_that_ends_at_its_start_is_told_of_in_our_words(settings: Settings) -> None:
    places = Places.of(settings.home, Path(tempfile.gettempdir()))
    places.folder.mkdir()
    places.logs.mkdir()
    supervisor = ServiceSupervisor(places)
    end = (sys.executable, "-I", "-S", "-c", "raise SystemExit(3)")
    pid = supervisor.launch([Program("worker", end), Program("beat", ("/nowhere/beat",))], dict(os.environ))
    supervisor.remember(Record("", 0, pid))
    supervisor.begin(["worker"])
    wait_for(lambda: services.status(settings)[0].state == "backoff")
    worker, beat = services.status(settings)
    assert worker.detail == "it ended before it had run for 3 seconds"
    assert (beat.state, beat.detail) == ("stopped", "Not started")
