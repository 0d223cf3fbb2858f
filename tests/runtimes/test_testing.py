"""The built-in runtimes pass the suite that a runtime of one's own is held to, and a wrong one does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtimes import strays
from runtimes.base import AppSpec, AppState, Runtime, RuntimeContext
from runtimes.noop import NoopRuntime
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor
from runtimes.testing import RuntimeConformance
from specs.model import Upgrade


class TestNoop(RuntimeConformance):
    def make_runtime(self, home: Path) -> Runtime:
        return NoopRuntime(RuntimeContext(home=home, node="node-1"))

    def make_failing_spec(self, version: str, **changes: Any) -> AppSpec:
        return self.make_spec(version, **{"env": {"NOOP_FAIL": "deploy,upgrade,reconfigure"}, **changes})


class TestProcess(RuntimeConformance):
    @pytest.fixture(autouse=True)
    def builder(self, release_of: Callable[[Path, AppSpec], Path]) -> None:
        self.release_of = release_of

    def make_runtime(self, home: Path) -> Runtime:
        return ProcessRuntime(
            RuntimeContext(home=home, node="node-1", build=lambda spec: self.release_of(home, spec), resolve=_resolve)
        )

    def end(self, runtime: Runtime, home: Path) -> None:
        Supervisor(home).shutdown()
        strays.end(strays.find(home), grace=0)


class TestBlueGreen(TestProcess):
    """The same suite, for apps that are upgraded beside themselves."""

    def make_spec(self, version: str, **changes: Any) -> AppSpec:
        return super().make_spec(version, **{"upgrade": Upgrade("blue_green"), **changes})

    # What has nothing to do with the strategy
    test_unknown_names_may_be_removed = None  # type: ignore[assignment]
    test_a_name_that_leads_elsewhere_is_refused = None  # type: ignore[assignment]
    test_a_failed_deploy_says_so_and_runs_nothing = None  # type: ignore[assignment]
    test_a_removed_app_can_be_deployed_again = None  # type: ignore[assignment]
    test_nothing_runs_on_a_new_node = None  # type: ignore[assignment]


def _resolve(spec: AppSpec, release: Path) -> dict[str, tuple[str, ...]]:
    """As `sources.commands` does: `python` is the release's own."""
    return {name: (str(release / "venv" / "bin" / "python"), *rest) for name, (_, *rest) in spec.run.processes.items()}


class _Restless(NoopRuntime):
    """Starts anew what runs already."""

    def deploy(self, spec: AppSpec) -> AppState:
        self.remove(spec.name)
        return super().deploy(spec)


class _Sanguine(NoopRuntime):
    """Takes every app for healthy."""

    def current_state(self) -> dict[str, AppState]:
        states = super().current_state()
        return {name: replace(state, status="running", health="healthy") for name, state in states.items()}


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        (_Restless, "test_deploying_twice_changes_nothing"),
        (_Sanguine, "test_a_failed_deploy_says_so_and_runs_nothing"),
    ],
)
def test_a_runtime_that_breaks_its_word_is_found_out(tmp_path: Path, wrong: type[NoopRuntime], test: str) -> None:
    suite = TestNoop()
    getattr(suite, test)(NoopRuntime(RuntimeContext(home=tmp_path / "good", node="node-1")))
    with pytest.raises(AssertionError):
        getattr(suite, test)(wrong(RuntimeContext(home=tmp_path / "wrong", node="node-1")))
