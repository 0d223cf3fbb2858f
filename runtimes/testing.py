"""How you know that your runtime is right: a suite that every built-in runtime passes. Needs pytest (the dev extra).

    from runtimes.testing import RuntimeConformance

    class TestMyRuntime(RuntimeConformance):
        def make_runtime(self, home):
            return MyRuntime(RuntimeContext(home=home, node="node-1", build=...))

The apps that it deploys are one command that sleeps, with a health check that is another command; a runtime that needs
something else to run says so in `make_spec` and `make_failing_spec`. What a runtime has beyond the protocol, `record`
and `adopt`, is tried where it is there. For messages that show the values that differ, have your conftest.py say
`pytest.register_assert_rewrite("runtimes.testing")`.
"""
# ruff: noqa: S101 - these are tests, and assertions are how they speak

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtimes.base import AppSpec, AppState, Runtime, RuntimeFailure
from specs.digest import digest
from specs.model import Health, Run, Source

__all__ = ["RuntimeConformance"]

_SLEEP = ("python", "-c", "import time\nwhile True: time.sleep(60)")
_FAIL = ("python", "-c", "raise SystemExit('this app ends at once')")


class RuntimeConformance:
    """What `runtimes.base.Runtime` promises, as tests. Subclass it with `make_runtime`; the other hooks may stay."""

    # Hooks

    def make_runtime(self, home: Path) -> Runtime:
        """A runtime that keeps what it knows below `home`. Called several times for one home: after a restart, say."""
        raise NotImplementedError("make_runtime(home) must return the runtime to be tried")

    def make_spec(self, version: str, **changes: Any) -> AppSpec:
        """An app that runs and is healthy; `changes` are fields of AppSpec. The same for the same arguments."""
        spec = AppSpec(
            "app",
            version,
            source=Source(package="app"),
            run=Run({"main": _SLEEP}),
            health=Health(type="custom", command=("true",), grace=20.0),
        )
        return replace(spec, **changes)

    def make_failing_spec(self, version: str, **changes: Any) -> AppSpec:
        """The same app, but this one cannot be brought to run."""
        failing = {
            "run": Run({"main": _FAIL}),
            "health": Health(type="custom", command=("false",), grace=20.0),
        }
        return self.make_spec(version, **{**failing, **changes})

    def end(self, runtime: Runtime, home: Path) -> None:
        """End what was started for a test: at first every app, by `remove`."""
        for name in runtime.current_state():
            runtime.remove(name)

    # Fixtures

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        """The home folder of one test."""
        folder = tmp_path / "home"
        folder.mkdir()
        return folder

    @pytest.fixture
    def runtime(self, home: Path) -> Iterator[Runtime]:
        """The runtime of one test."""
        made = self.make_runtime(home)
        try:
            yield made
        finally:
            self.end(made, home)

    # What is promised

    def test_it_is_a_runtime(self, runtime: Runtime) -> None:
        """It has the methods of the protocol."""
        assert isinstance(runtime, Runtime)

    def test_nothing_runs_on_a_new_node(self, runtime: Runtime) -> None:
        """An empty home has no apps, and looking at it makes none."""
        assert runtime.current_state() == {}

    def test_a_deployed_app_is_running_and_healthy(self, runtime: Runtime) -> None:
        """deploy tells what runs: digest, version, revision, node and, in UTC, since when."""
        spec = self.make_spec(
            "1.0.0", description="An app", depends_on=("db",), revision="4f2a", env={"SECRET": "hunter2"}
        )
        state = runtime.deploy(spec)
        assert (state.name, state.version, state.revision) == (spec.name, "1.0.0", "4f2a")
        assert state.digest == str(digest(spec))
        assert (state.status, state.health) == ("running", "healthy")
        assert state.node
        assert state.started_at is not None
        assert state.started_at.utcoffset() == timedelta(0)
        assert (state.description, state.depends_on, state.isolation) == ("An app", ("db",), spec.isolation)
        assert "hunter2" not in repr(state)

    def test_deploying_twice_changes_nothing(self, runtime: Runtime) -> None:
        """What runs as it should is not started again."""
        spec = self.make_spec("1.0.0")
        first = runtime.deploy(spec)
        assert runtime.deploy(spec) == first

    def test_what_is_deployed_is_what_is_observed(self, runtime: Runtime) -> None:
        """current_state reports what deploy returned, of every app by its name."""
        one, other = self.make_spec("1.0.0"), self.make_spec("2.0.0", name="other")
        states = {spec.name: runtime.deploy(spec) for spec in (one, other)}
        assert runtime.current_state() == states

    def test_observing_changes_nothing(self, runtime: Runtime, home: Path) -> None:
        """No file below the home folder is written, logs apart, and nothing is started, by current_state."""
        runtime.deploy(self.make_spec("1.0.0"))
        runtime.current_state()
        before = _files(home)
        assert runtime.current_state() == runtime.current_state()
        assert _files(home) == before

    def test_an_upgrade_switches_version_and_digest(self, runtime: Runtime) -> None:
        """After upgrade the new version runs, instead of the old one."""
        old, new = self.make_spec("1.0.0"), self.make_spec("1.1.0")
        runtime.deploy(old)
        state = runtime.upgrade(new, "1.0.0")
        assert (state.version, state.digest) == ("1.1.0", str(digest(new)))
        assert (state.status, state.health) == ("running", "healthy")
        assert runtime.current_state() == {new.name: state}

    def test_an_upgrade_repeated_changes_nothing(self, runtime: Runtime) -> None:
        """A step may be delivered twice."""
        runtime.deploy(self.make_spec("1.0.0"))
        state = runtime.upgrade(self.make_spec("1.1.0"), "1.0.0")
        assert runtime.upgrade(self.make_spec("1.1.0"), "1.0.0") == state

    def test_a_new_environment_has_a_new_digest(self, runtime: Runtime) -> None:
        """reconfigure brings the same version with another environment."""
        first = runtime.deploy(self.make_spec("1.0.0", env={"GREETING": "hello"}))
        spec = self.make_spec("1.0.0", env={"GREETING": "hi"})
        state = runtime.reconfigure(spec)
        assert state.digest == str(digest(spec)) != first.digest
        assert (state.version, state.status, state.health) == ("1.0.0", "running", "healthy")
        assert runtime.current_state() == {spec.name: state}

    def test_a_new_description_restarts_nothing(self, runtime: Runtime) -> None:
        """record, and deploy too, take over what changes nothing that runs."""
        first = runtime.deploy(self.make_spec("1.0.0"))
        spec = self.make_spec("1.0.0", description="better told")
        state: AppState = getattr(runtime, "record", runtime.deploy)(spec)
        assert (state.description, state.digest) == ("better told", str(digest(spec)))
        assert (state.pid, state.started_at, state.status) == (first.pid, first.started_at, "running")
        third = runtime.deploy(self.make_spec("1.0.0", description="told once more"))
        assert (third.description, third.pid, third.started_at) == ("told once more", first.pid, first.started_at)

    def test_a_removed_app_is_gone_and_may_be_removed_again(self, runtime: Runtime) -> None:
        """remove is idempotent and leaves the others alone."""
        one, other = self.make_spec("1.0.0"), self.make_spec("1.0.0", name="other")
        runtime.deploy(one)
        state = runtime.deploy(other)
        for _ in range(2):
            runtime.remove(one.name)
            assert runtime.current_state() == {"other": state}

    def test_a_removed_app_can_be_deployed_again(self, runtime: Runtime) -> None:
        """A revert brings back what was removed."""
        spec = self.make_spec("1.0.0")
        runtime.deploy(spec)
        runtime.remove(spec.name)
        assert runtime.deploy(spec).status == "running"

    @pytest.mark.parametrize("name", ["never-seen", "", ".", "../app", "a/b", "A", "x" * 64])
    def test_unknown_names_may_be_removed(self, runtime: Runtime, home: Path, name: str) -> None:
        """Nothing is done, above all not to a path that is made of the name."""
        before = _files(home)
        runtime.remove(name)
        assert _files(home) == before

    def test_a_name_that_leads_elsewhere_is_refused(self, runtime: Runtime, home: Path) -> None:
        """A spec whose name is not an app's name fails, and nothing is written outside of the home folder."""
        with pytest.raises(RuntimeFailure):
            runtime.deploy(self.make_spec("1.0.0", name="../../elsewhere"))
        assert sorted(path.name for path in home.parent.iterdir()) == [home.name]
        assert runtime.current_state() == {}

    def test_a_failed_deploy_says_so_and_runs_nothing(self, runtime: Runtime) -> None:
        """RuntimeFailure names the app, the step and what happened; the app is not reported as running."""
        spec = self.make_failing_spec("1.0.0")
        with pytest.raises(RuntimeFailure) as caught:
            runtime.deploy(spec)
        assert caught.value.app == spec.name
        assert caught.value.step in {"build", "start", "health", "stop", "reconfigure"}
        assert caught.value.message
        assert caught.value.reason
        state = runtime.current_state().get(spec.name)
        assert state is None or state.status != "running"

    def test_after_a_failed_deploy_a_good_one_works(self, runtime: Runtime) -> None:
        """The commit that fixes it is not held up by the one that broke it."""
        with pytest.raises(RuntimeFailure):
            runtime.deploy(self.make_failing_spec("1.0.0"))
        state = runtime.deploy(self.make_spec("1.0.1"))
        assert (state.version, state.status, state.health) == ("1.0.1", "running", "healthy")

    def test_a_failed_upgrade_is_rolled_back_by_its_caller(self, runtime: Runtime) -> None:
        """upgrade(old spec, new version) after a failure brings back what ran."""
        good, bad = self.make_spec("1.0.0"), self.make_failing_spec("2.0.0")
        runtime.deploy(good)
        with pytest.raises(RuntimeFailure):
            runtime.upgrade(bad, "1.0.0")
        state = runtime.upgrade(good, "2.0.0")
        assert (state.version, state.digest) == ("1.0.0", str(digest(good)))
        assert (state.status, state.health) == ("running", "healthy")
        assert runtime.current_state() == {good.name: state}

    def test_a_restart_of_celeriac_changes_nothing(self, runtime: Runtime, home: Path) -> None:
        """Another runtime of the same home sees the same apps, and finds them as they should be."""
        spec = self.make_spec("1.0.0")
        state = runtime.deploy(spec)
        successor = self.make_runtime(home)
        assert successor.current_state() == {spec.name: state}
        assert successor.deploy(spec) == state
        successor.remove(spec.name)
        assert runtime.current_state() == {}

    def test_a_renamed_app_leaves_one_running(self, runtime: Runtime) -> None:
        """adopt brings the new name and removes the old one; without it, deploying and removing do. Twice is fine."""
        old, new = self.make_spec("1.0.0"), self.make_spec("1.0.0", name="renamed", renamed_from="app")
        runtime.deploy(old)
        state = self._rename(runtime, new, old.name)
        assert (state.name, state.status, state.health) == ("renamed", "running", "healthy")
        assert runtime.current_state() == {"renamed": state}
        assert self._rename(runtime, new, old.name) == state

    def test_an_app_that_cannot_be_renamed_goes_on(self, runtime: Runtime) -> None:
        """When the new name fails to start, the old one runs and is healthy, and nothing of the new one runs."""
        old = self.make_spec("1.0.0")
        runtime.deploy(old)
        with pytest.raises(RuntimeFailure):
            self._rename(runtime, self.make_failing_spec("2.0.0", name="renamed", renamed_from="app"), old.name)
        states = runtime.current_state()
        assert (states["app"].status, states["app"].health, states["app"].version) == ("running", "healthy", "1.0.0")
        assert "renamed" not in states or states["renamed"].status != "running"

    @staticmethod
    def _rename(runtime: Runtime, spec: AppSpec, old_name: str) -> AppState:
        adopt = getattr(runtime, "adopt", None)
        if adopt is not None:
            adopted: AppState = adopt(spec, old_name)
            return adopted
        state = runtime.deploy(spec)
        runtime.remove(old_name)
        return state


def _files(home: Path) -> dict[str, tuple[int, int]]:
    """Every file below `home` but logs, with when it was changed and how long it is."""
    return {
        str(path.relative_to(home)): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in sorted(home.rglob("*"))
        if path.suffix not in {".log", ".out"} and "logs" not in path.relative_to(home).parts
    }
