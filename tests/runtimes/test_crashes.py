"""When there is no point in waiting for a start any longer, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

from runtimes.applied import Applied
from runtimes.crashes import Crashes
from runtimes.supervisor_rpc import ProcessInfo

EARLY = "Exited too quickly (process log may have details)"
UP = ProcessInfo("web", "main", "STARTING", 7, 100.0, 0.0, 0, "")
DOWN = replace(UP, state="BACKOFF", pid=0, stopped=101.0, error=EARLY)
APP = Applied("web", "1.0", "r-e-d", "/r", {"main": ("python",)}, "n1", "ab", "/e", "", "/p", phase="running")


def seen(*looks: ProcessInfo) -> list[str]:
    """What is said at each look."""
    left = iter(looks)
    crashes = Crashes(lambda: {"main": next(left)})
    return [crashes.look() for _ in looks]


def test_one_end_is_no_reason_to_give_up_and_a_second_is() -> None:
    told = "main ended again and again: it ended before it had run for 5 seconds"
    again = replace(DOWN, stopped=103.0)
    assert seen(UP, DOWN, DOWN, replace(UP, pid=8), again, UP) == ["", "", "", "", told, told]


def test_ends_that_nobody_saw_are_told_by_the_third_process() -> None:
    assert seen(UP, replace(UP, pid=8), replace(UP, pid=9))[2] == "main ended again and again"
    bad = replace(DOWN, state="EXITED", error="Bad exit code 3")
    told = seen(UP, bad, replace(UP, pid=8), replace(UP, pid=9))[3]
    assert told == "main ended again and again: it ended with exit code 3"


def test_what_the_supervisor_gave_up_will_not_come_up() -> None:
    (told,) = seen(replace(DOWN, state="FATAL", error="can't find command 'x'"))
    assert told == "main was given up after several starts: it could not be started: can't find command 'x'"


def test_one_that_ended_before_must_stay_up() -> None:
    looks = iter([DOWN, replace(UP, pid=8), replace(UP, pid=8, state="RUNNING")])
    crashes = Crashes(lambda: {"main": next(looks)})
    crashes.look()
    assert crashes.not_ready(APP, settled=False) == "main has not been up for 5s"
    assert crashes.not_ready(APP, settled=False) == ""
    assert Crashes(lambda: {"main": UP}).not_ready(APP, settled=False) == ""
    assert Crashes(dict).not_ready(APP, settled=False) == "main is not up"
