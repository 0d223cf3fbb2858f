"""What the facts of one app mean. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from runtimes.applied import Applied
from runtimes.facts import Facts, state_of
from runtimes.overruns import Overrun
from runtimes.strays import RunStamp
from runtimes.supervisor_rpc import ProcessInfo
from specs.appstate import AppState

LIMITS = {"memory": "cgroup v2", "cpus": "affinity"}
KILLED = "killed: over its memory limit of 64MB (cgroup v2)"


def applied(*processes: str) -> Applied:
    argv = dict.fromkeys(processes or ("main",), ("python",))
    return Applied(
        "web", "1.0", "r-e-d", "/r", argv, "n1", "ab", "/e", "", "/p", phase="running", memory=64_000_000,
    )  # fmt: skip


def info(state: str = "RUNNING", pid: int = 8, name: str = "main") -> ProcessInfo:
    up = state in {"STARTING", "RUNNING", "STOPPING"}
    return ProcessInfo("web", name, state, pid if up else 0, 100.0, 90.0, 0, "")


def observed(
    *infos: ProcessInfo,
    stamps: Mapping[str, RunStamp],
    killed: tuple[str, ...] = ("7-1",),
    drift: str = "",
    digests: Mapping[str, str] = {},
) -> AppState:
    overruns = tuple(Overrun("main", instance, 1.0, 64_000_000, "cgroup v2") for instance in killed)
    processes = {one.name: one for one in infos}
    return state_of(Facts(applied(*processes), processes, digests, None, drift, stamps=stamps, overruns=overruns))


def stamp(pid: int = 8, before: str = "7-1") -> RunStamp:
    return RunStamp(pid, 1, "r-e-d", LIMITS, 64_000_000, before)


def test_the_one_after_a_kill_says_so() -> None:
    state = observed(info(), stamps={"main": stamp()})
    assert (state.status, state.reason, state.message) == ("running", "OutOfMemory", f"{KILLED}, restarted")
    assert state.limits == LIMITS


@pytest.mark.parametrize("before", ["", "6-1", "8-1"])
def test_the_one_after_any_other_end_does_not(before: str) -> None:
    state = observed(info(), stamps={"main": stamp(before=before)})
    assert (state.reason, state.message) == ("", "")


def test_of_a_process_that_has_not_said_who_it_is_nothing_is_known() -> None:
    state = observed(info(pid=9), stamps={"main": stamp()})
    assert (state.reason, state.limits) == ("", {})
    assert observed(info(), stamps={}).limits == {}


@pytest.mark.parametrize(
    ("now", "status", "how"), [("BACKOFF", "starting", "is started again"), ("FATAL", "failed", "again and again")]
)
def test_what_is_down_after_a_kill_says_so(now: str, status: str, how: str) -> None:
    state = observed(info(now), stamps={"main": stamp(pid=7, before="6-1")})
    assert (state.status, state.reason, state.message) == (status, "OutOfMemory", f"{KILLED}, {how}")


def test_what_was_stopped_by_somebody_does_not_talk_of_an_old_kill() -> None:
    assert observed(info("STOPPED"), stamps={"main": stamp(pid=7)}).reason == ""


def test_of_several_processes_the_one_is_named() -> None:
    state = observed(info(), info(name="worker"), stamps={"main": stamp(), "worker": stamp(before="")})
    assert state.message == f"main {KILLED}, restarted"


def test_drift_counts_before_an_old_kill() -> None:
    state = observed(info(), stamps={"main": stamp()}, drift="the link to its release was changed")
    assert state.reason == ""
    assert state.message.startswith("the link")


def test_what_has_not_yet_become_the_app_is_not_said_to_run() -> None:
    launching = observed(info("STARTING", pid=9), stamps={"main": stamp(pid=7, before="6-1")})
    assert (launching.status, launching.health) == ("starting", "unhealthy")
    assert (launching.reason, launching.message) == ("OutOfMemory", f"{KILLED}, is started again")
    launching = observed(info("STARTING", pid=9), stamps={"main": stamp(pid=7)}, killed=())
    assert (launching.status, launching.message) == ("starting", "main ended and is started again")


def test_what_has_become_the_app_runs_before_the_supervisor_says_so() -> None:
    assert observed(info("STARTING"), stamps={}, digests={"main": "r-e-d"}).status == "running"


def test_what_was_given_up_says_so_in_our_words_with_its_log_and_its_last_lines() -> None:
    gone = replace(info("FATAL", name="worker"), error="Exited too quickly (process log may have details)")
    facts = Facts(applied("main", "worker"), {"main": info(), "worker": gone})
    how = "it ended before it had run for 5 seconds"
    told = f"worker was given up after several starts: {how}; see: celeriac logs web -p worker"
    assert state_of(facts).message == told
    assert state_of(facts, ("Traceback", "KeyError: 'DB'")).message == f"{told}: Traceback | KeyError: 'DB'"
