"""How work is asked for: one run at a time, and whoever asks during it is answered by the one after."""

from __future__ import annotations

from dataclasses import replace

import pytest
from workbench import Workbench

from celeriac.errors import MisuseError, SettingsError
from reconciler.asking import ask_for_steps, ask_for_sync, stamp
from reconciler.steps import PULL, manual_step


def test_a_sync_begins_a_run_and_those_asked_for_during_it_are_one_run_after_it(bench: Workbench) -> None:
    bench.app("web")
    bench.commit()
    requests = [bench.ask() for _ in range(3)]
    assert bench.tasks() == ["pull"]
    bench.work()
    runs = [bench.answers[request]["run"] for request in requests]
    assert runs[0] != runs[1] == runs[2]
    assert bench.engine.runs.current() is None


def test_options_are_those_of_the_run_and_beat_says_when_it_comes_again(bench: Workbench) -> None:
    asked = ask_for_sync(bench.engine, "beat", force=True, app="web", allow_removals="ABC0123", plan="p1")
    run = bench.engine.runs.get(asked.run)
    assert run is not None
    assert run.options == {"force": True, "only": "web", "allow_removals": "abc0123", "plan": "p1"}
    assert bench.engine.holds.removals_allowed() == "abc0123"
    assert bench.engine.pulse.get("next_sync")["next_sync"] > bench.engine.clock()


@pytest.mark.parametrize("text", ["c", "abc012", "HEAD", "main~1", "abc0123*", " "])
def test_removals_are_acknowledged_for_one_commit(bench: Workbench, text: str) -> None:
    with pytest.raises(MisuseError, match="does not name one commit"):
        ask_for_sync(bench.engine, "hand", allow_removals=text)
    assert bench.engine.holds.removals_allowed() == ""
    assert bench.engine.runs.current() is None


def test_without_a_repository_there_is_nothing_to_ask_for(bench: Workbench) -> None:
    bench.engine.settings = replace(bench.engine.settings, repo_url="")
    with pytest.raises(SettingsError):
        ask_for_sync(bench.engine, "hand")
    assert bench.engine.runs.current() is None


def test_steps_by_hand_make_a_run_of_their_own(bench: Workbench) -> None:
    steps = [manual_step("remove", "web", node, stamp()) for node in ("n1", "n2")]
    asked = ask_for_steps(bench.engine, steps)
    assert asked.started
    assert sorted(step.node for _, step in bench.sent) == ["n1", "n2"]
    bench.work()
    record = bench.engine.runs.record(asked.run)
    assert record is not None
    assert (record["trigger"], record["counts"]) == ("hand", {"ok": 2})


def test_steps_by_hand_join_the_run_that_is_open(bench: Workbench) -> None:
    run = bench.engine.runs.request("hand", PULL).run
    asked = ask_for_steps(bench.engine, [manual_step("remove", "web", "n1", stamp())])
    assert (asked.run, asked.started) == (run, True)
    assert bench.tasks() == ["remove"]


def test_when_another_run_is_begun_in_between_its_steps_go_into_that(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = bench.engine.runs.current
    looks = []

    def raced() -> object:
        looks.append(1)
        if len(looks) == 1:  # another begins a run right after we looked
            found = current()
            bench.engine.runs.request("beat", PULL)
            return found
        return current()

    monkeypatch.setattr(bench.engine.runs, "current", raced)
    asked = ask_for_steps(bench.engine, [manual_step("remove", "web", "n1", stamp())])
    run = current()
    assert run is not None
    assert asked.run == run.id
    assert bench.tasks() == ["remove"]
