"""Apps are upgraded beside themselves, behind a real front, under real traffic, and whatever is killed meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from beside import Beside, answer, exposed, free_port
from traffic import Traffic
from waiting import is_running, wait_for

from runtimes import blue_green, logs
from runtimes.applied import Applied
from runtimes.base import RuntimeContext, RuntimeFailure, Superseded
from runtimes.blue_green import BlueGreen, why_not
from runtimes.health import ProbeResult
from runtimes.ports import is_open
from runtimes.process import ProcessRuntime
from runtimes.supervisor_rpc import SupervisorError
from specs.digest import digest
from specs.model import AppSpec, Health, Run, Upgrade

WORKER = """
import os, signal, sys, time
def note(what):
    with open("notes", "a") as notes:
        notes.write(f"{os.environ['CELERIAC_VERSION']} {what} {time.monotonic()}\\n")
def end(*_):
    note("ended")
    sys.exit()
signal.signal(signal.SIGTERM, end)
note("began")
while True: time.sleep(60)
"""


@pytest.fixture
def place(home: Path) -> Beside:
    return Beside(home)


@pytest.fixture
def runtime(place: Beside) -> ProcessRuntime:
    return place.runtime()


def worker(version: str, **more: object) -> AppSpec:
    spec = AppSpec(
        "mailer",
        version,
        run=Run({"main": ("python", "-c", WORKER)}),
        health=Health(type="custom", command=("grep", "-q", f"{version} began", "notes"), grace=20.0),
        upgrade=Upgrade("blue_green"),
    )
    return replace(spec, **more)  # type: ignore[arg-type]


def test_no_request_fails_while_releases_change(place: Beside, runtime: ProcessRuntime, port: int) -> None:
    old = runtime.deploy(exposed(port))
    with Traffic(port, rate=80) as traffic:
        states = [runtime.upgrade(exposed(port, version), "") for version in ("2", "3", "4")]
    seen = traffic.end()
    for kind in ("new", "kept"):
        assert not seen[kind]["failed"]
        assert seen[kind]["versions"] == ["1", "2", "3", "4"]
    assert len({old.pid, *(state.pid for state in states)}) == 4
    assert place.pids() == [states[-1].pid]
    assert runtime.current_state() == {"web": states[-1]}
    assert (states[-1].status, states[-1].health, states[-1].message) == ("running", "healthy", "")


def test_a_websocket_stays_with_the_old_release_until_the_drain_limit(
    place: Beside, runtime: ProcessRuntime, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = runtime.deploy(exposed(port))
    with Traffic(port, rate=20, websockets=1) as traffic:
        wait_for(lambda: place.seen("1") > 5)
        monkeypatch.setattr(blue_green, "DRAIN_SECONDS", 1.5)
        waited: list[bool] = []
        place.on_phase = lambda phase: waited.append(phase == "draining" and is_running(old.pid or 0))
        runtime.upgrade(exposed(port, "2"), "1")
    assert any(waited)
    assert not is_running(old.pid or 0)
    assert traffic.end()["websockets"]["failed"] == {"IncompleteReadError": 1}
    assert not traffic.end()["kept"]["failed"]


def test_a_release_that_is_ill_never_gets_a_request_and_the_old_one_is_not_touched(
    place: Beside, runtime: ProcessRuntime, port: int
) -> None:
    old = runtime.deploy(exposed(port))
    ill = exposed(port, "2", env={"ILL": "1"}, health=Health(port=port, timeout=1.0, grace=1.0))
    with Traffic(port, rate=50) as traffic, pytest.raises(RuntimeFailure) as caught:
        runtime.upgrade(ill, "1")
    assert caught.value.step == "health"
    assert "answered 500" in caught.value.message
    assert caught.value.output == ("serving 2",)
    seen = traffic.end()
    assert not seen["new"]["failed"]
    assert not seen["kept"]["failed"]
    assert (place.seen("2"), seen["new"]["versions"]) == (0, ["1"])
    assert place.pids() == [old.pid]
    assert runtime.current_state() == {"web": old}
    assert runtime.upgrade(exposed(port), "2") == old  # what the roll-back does


def test_a_restart_makes_requests_wait_instead_of_failing(runtime: ProcessRuntime, port: int) -> None:
    restart = Upgrade("restart")
    runtime.deploy(exposed(port, upgrade=restart))
    with Traffic(port, rate=40) as traffic:
        runtime.upgrade(exposed(port, "2", upgrade=restart, env={"LATE": "0.5"}), "1")
        runtime.restart("web")
    seen = traffic.end()
    assert seen["new"]["failed"] == seen["kept"]["failed"] == {}
    assert seen["new"]["longest"] > 0.5


def test_what_does_not_listen_on_its_port_is_not_healthy(runtime: ProcessRuntime, port: int) -> None:
    deaf = exposed(port, health=Health(type="custom", command=("true",), grace=1.0), run=Run({"main": ("sleep", "60")}))
    with pytest.raises(RuntimeFailure, match=r"does not take connections on its \$PORT"):
        runtime.deploy(deaf)


def test_a_new_environment_comes_beside_the_old_one_too(place: Beside, runtime: ProcessRuntime, port: int) -> None:
    first = runtime.deploy(exposed(port, env={"COLOUR": "red"}))
    spec = exposed(port, env={"COLOUR": "blue"})
    second = runtime.reconfigure(spec)
    assert second.digest == str(digest(spec))
    assert place.pids() == [second.pid] != [first.pid]
    assert "blue" in (place.home / "apps" / "web" / "env").read_text()
    assert (place.home / "apps" / "web" / "env").stat().st_mode & 0o777 == 0o600


def test_an_app_whose_port_is_in_its_env_is_restarted(place: Beside, runtime: ProcessRuntime, port: int) -> None:
    spec = exposed(port, expose=None, health=Health(type="custom", command=("true",)), env={"PORT": str(port)})
    runtime.deploy(spec)
    runtime.upgrade(replace(spec, version="2"), "1")
    wait_for(lambda: is_open(port))
    assert (answer(port), len(place.pids())) == ("2", 1)
    ((_, _, told),) = place.told
    assert (told["by"], told["why"]) == ("restart", "its env says PORT, which only one release can hold; leave it out")


def test_a_health_check_that_outlives_its_generation_says_nothing_of_the_next(
    place: Beside, runtime: ProcessRuntime, port: int
) -> None:
    spec = exposed(port)
    runtime.deploy(spec)
    other, upgraded = place.runtime(), place.runtime()
    ask = other._starter.probe  # the upgrade takes place while the answer is on its way

    def slow(applied: Applied, timeout: float | None) -> ProbeResult:
        result = ask(applied, timeout)
        upgraded.upgrade(exposed(port, "2"), "1")
        return result

    other._starter.probe = slow  # type: ignore[method-assign]
    assert other.check(spec).ok
    state = runtime.current_state()["web"]
    assert (state.version, state.health, place.pids()) == ("2", "healthy", [state.pid])
    assert not (place.home / "apps" / "web" / "blue").exists()


def test_a_new_environment_after_a_switch_that_was_cut_off_leaves_one_generation(
    place: Beside, runtime: ProcessRuntime, port: int
) -> None:
    run = replace(exposed(port).run, reload_signal="SIGWINCH")
    runtime.deploy(exposed(port, run=run))
    with patch.object(BlueGreen, "_drain", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        runtime.upgrade(exposed(port, "2", run=run), "1")
    assert len(place.pids()) == 2
    state = runtime.reconfigure(exposed(port, "2", env={"COLOUR": "blue"}, run=run))
    assert place.pids() == [state.pid]


def test_an_old_release_that_cannot_be_ended_is_no_reason_to_take_the_new_one_back(
    place: Beside, runtime: ProcessRuntime, port: int
) -> None:
    runtime.deploy(exposed(port))
    with patch.object(BlueGreen, "end", side_effect=SupervisorError("process 1 cannot be ended")):
        state = runtime.upgrade(exposed(port, "2"), "1")
        assert (state.version, state.health, answer(port)) == ("2", "healthy", "2")
        assert runtime.current_state()["web"].drift == "another release of it was left running beside it"
        with pytest.raises(RuntimeFailure, match="process 1 cannot be ended"):
            runtime.deploy(exposed(port, "2"))
    assert runtime.deploy(exposed(port, "2")).drift == ""
    assert place.pids() == [state.pid]


def test_apps_without_a_port_overlap(place: Beside, runtime: ProcessRuntime) -> None:
    runtime.deploy(worker("1"))
    state = runtime.upgrade(worker("2"), "1")
    notes = [line.split() for line in (place.home / "apps" / "mailer" / "data" / "notes").read_text().splitlines()]
    assert [(version, what) for version, what, _ in notes] == [("1", "began"), ("2", "began"), ("1", "ended")]
    assert place.pids("mailer") == [state.pid]
    assert runtime.current_state() == {"mailer": state}


def test_an_app_that_cannot_run_twice_is_restarted_and_says_why(
    place: Beside, runtime: ProcessRuntime, port: int
) -> None:
    spec = exposed(port, expose=None)
    runtime.deploy(spec)
    state = runtime.upgrade(replace(spec, version="2"), "1")
    why = f"its health check asks port {port}, which only one release can hold; expose it"
    assert state.message == f"restarted, since it could not be upgraded beside itself: {why}"
    assert place.told == [("upgrade.fallback", "web", {"strategy": "blue_green", "by": "restart", "why": why})]
    assert answer(port) == "2"


def test_what_keeps_two_releases_apart_is_told_from_the_spec() -> None:
    spec = exposed(80)
    assert why_not(spec) == ""
    assert why_not(worker("1")) == ""
    assert "port 9000" in why_not(replace(spec, health=Health(port=9000)))
    assert "PORT" in why_not(replace(spec, env={"PORT": "5000"}))
    assert "PORT" in why_not(worker("1", env={"PORT": "5000"}))
    assert why_not(replace(spec, health=None)) == ""


def test_an_app_may_begin_and_cease_to_be_exposed(place: Beside, runtime: ProcessRuntime, port: int) -> None:
    bare = exposed(port, expose=None)
    runtime.deploy(bare)
    state = runtime.upgrade(exposed(port, "2"), "1")
    assert (answer(port), len(place.pids("@front"))) == ("2", 1)
    assert "had the port" in state.message
    runtime.upgrade(replace(bare, version="3"), "2")
    assert (answer(port), place.pids("@front")) == ("3", [])


def test_the_public_port_may_change_and_the_old_one_is_given_up(runtime: ProcessRuntime, port: int) -> None:
    other = free_port()
    runtime.deploy(exposed(port))
    runtime.upgrade(exposed(other, "2"), "1")
    assert answer(other) == "2"
    with pytest.raises(OSError):
        answer(port)


def test_a_public_port_that_an_ill_release_asked_for_is_given_up_with_it(
    place: Beside, runtime: ProcessRuntime, port: int
) -> None:
    other = free_port()
    old = runtime.deploy(exposed(port))
    with pytest.raises(RuntimeFailure):
        runtime.upgrade(exposed(other, "2", env={"ILL": "1"}, health=Health(port=other, timeout=1.0, grace=1.0)), "1")
    with pytest.raises(OSError):
        answer(other)
    assert answer(port) == "1"
    assert runtime.current_state() == {"web": old}


def test_only_what_the_new_release_said_is_told_of_its_failure(runtime: ProcessRuntime, home: Path, port: int) -> None:
    runtime.deploy(exposed(port))
    with pytest.raises(RuntimeFailure) as caught:
        runtime.upgrade(exposed(port, "2", run=Run({"main": ("python", "-c", "raise SystemExit('no table')")})), "1")
    assert set(caught.value.output) == {"no table"}
    assert [line.text for line in logs.tail(home, "web", 5)][-1] == "serving 1"
    runtime.upgrade(exposed(port, "3"), "1")
    assert (home / "logs" / "web.main.log").read_text() == "serving 3\n"
    assert [line.text for line in logs.tail(home, "web", 50)] == _told(home)


def _told(home: Path) -> list[str]:
    """All that is kept of what the app printed, oldest first."""
    files = sorted((home / "logs").glob("web@*.log*"), key=lambda path: path.stat().st_mtime)
    return [line for path in files for line in path.read_text().splitlines()]


def test_a_renamed_app_takes_its_route_along(place: Beside, runtime: ProcessRuntime, port: int) -> None:
    runtime.deploy(exposed(port))
    runtime.upgrade(exposed(port, "2"), "1")
    state = runtime.adopt(exposed(port, "2", name="shop", renamed_from="web"), "web")
    assert answer(port) == "2"
    assert runtime.current_state() == {"shop": state}
    assert [path.name for path in (place.home / "front" / "routes").iterdir()] == ["shop.json"]
    with pytest.raises(RuntimeFailure):
        runtime.adopt(exposed(port, "3", name="store", run=Run({"main": ("false",)})), "shop")
    assert answer(port) == "2"
    assert [path.name for path in (place.home / "front" / "routes").iterdir()] == ["shop.json"]


def test_a_new_desired_state_ends_the_wait_and_leaves_one_generation(
    place: Beside, runtime: ProcessRuntime, port: int
) -> None:
    old = runtime.deploy(exposed(port))
    hurry = ProcessRuntime(replace(place.runtime().context, cancelled=lambda: len(place.pids()) > 1))
    with pytest.raises(Superseded):
        hurry.upgrade(exposed(port, "2", env={"ILL": "1"}), "1")
    assert place.pids() == [old.pid]
    assert runtime.current_state() == {"web": old}


def test_removing_and_stopping_leave_nothing_of_either_generation(
    place: Beside, runtime: ProcessRuntime, port: int
) -> None:
    runtime.deploy(exposed(port))
    runtime.upgrade(exposed(port, "2"), "1")
    runtime.stop("web")
    assert (place.pids(), runtime.current_state()["web"].status) == ([], "stopped")
    assert runtime.restart("web").status == "running"
    assert answer(port) == "2"
    runtime.remove("web")
    assert runtime.current_state() == {}
    assert sorted(path.name for path in (place.home / "apps" / "web").iterdir()) == ["data", "releases"]
    assert place.pids() == place.pids("@front") == []
    assert not list((place.home / "front" / "routes").iterdir())


def test_what_follows_the_logs_reads_each_release_once(runtime: ProcessRuntime, home: Path, port: int) -> None:
    runtime.deploy(exposed(port))
    followed = logs.follow(home, "web")
    assert next(followed).text == "serving 1"
    for version in ("2", "3", "4"):
        runtime.upgrade(exposed(port, version), "")
        assert next(followed).text == f"serving {version}"
    followed.close()


def test_stopping_all_apps_stops_the_front_and_what_was_left_over_too(
    place: Beside, runtime: ProcessRuntime, port: int
) -> None:
    runtime.deploy(exposed(port))
    place.killed_at(port, "1", "2", "runtimes.applied:AppliedStore.go_live", "before")
    assert len(place.pids()) == 2
    runtime.supervisor.shutdown()
    assert place.pids("") == []
    runtime.revive()
    wait_for(lambda: bool(place.pids()))
    assert answer(port) == "1"
    state = place.runtime().deploy(exposed(port))
    assert place.pids() == [state.pid]


def test_a_build_that_fails_leaves_everything_alone(place: Beside, runtime: ProcessRuntime, port: int) -> None:
    old = runtime.deploy(exposed(port))

    def build(spec: AppSpec) -> Path:
        raise RuntimeFailure(spec.name, "build", "no such version")

    other = ProcessRuntime(RuntimeContext(home=place.home, node="node-1", build=build))
    with pytest.raises(RuntimeFailure, match="no such version"):
        other.upgrade(exposed(port, "2"), "1")
    assert runtime.current_state() == {"web": old}
