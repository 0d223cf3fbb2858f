"""The one way to define a task: what it promises, and that a misspelt option is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from state.unavailable import StateUnavailable
from tasks.celery import app
from tasks.decorator import LONGEST, PipelineTask, pipeline_task

PIPELINE = {
    "sync", "pull", "parse", "diff", "deploy", "upgrade", "reconfigure", "remove", "observe", "check", "rollback",
}  # fmt: skip
OURS = PIPELINE | {"sweep"}


@pytest.fixture
def made() -> Iterator[Any]:
    """A task of this test's own."""

    @pipeline_task("made", time_limit=100, max_retries=2)
    def task(self: Any, run: str, step: str = "", *, force: bool = False) -> str:
        """Do nothing."""
        return f"{run} {step} {force}"

    yield app.tasks["made"]
    app.tasks.unregister("made")


def test_a_misspelt_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="time_limt"):
        pipeline_task("made", time_limt=10)  # type: ignore[call-arg]
    assert "made" not in app.tasks


@pytest.mark.parametrize("time_limit", [0, -1, LONGEST + 1])
def test_a_task_that_may_take_for_ever_is_an_error(time_limit: int) -> None:
    with pytest.raises(ValueError, match="visibility timeout"):
        pipeline_task("made", time_limit=time_limit)


def test_a_task_is_acknowledged_when_it_is_done_and_ends_in_time(made: Any) -> None:
    assert isinstance(made, PipelineTask)
    assert (made.acks_late, made.max_retries, made.ignore_result) == (True, 2, True)
    assert (made.time_limit, made.soft_time_limit) == (100, 70)
    assert made.throws == (StateUnavailable,)


@pytest.mark.parametrize("argument", [{"env": {"TOKEN": "hunter2"}}, ["x"], 1.5, b"x"])
def test_a_message_that_carries_more_than_identifiers_is_refused_without_showing_it(made: Any, argument: Any) -> None:
    for args, kwargs in (((argument,), {}), (("run",), {"step": argument})):
        result = made.apply(args=args, kwargs=kwargs)
        assert result.failed()
        assert "takes identifiers only" in str(result.result)
        assert "hunter2" not in str(result.result)


def test_identifiers_pass(made: Any) -> None:
    assert made.apply(args=("run", "web@n1"), kwargs={"force": True}).result == "run web@n1 True"


def test_the_tasks_of_the_contract_are_there_and_no_others() -> None:
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    assert ours == OURS
    for name in OURS:
        task = app.tasks[name]
        assert isinstance(task, PipelineTask), name
        assert task.acks_late, name
        assert 0 < task.soft_time_limit < task.time_limit < app.conf.visibility_timeout, name
        assert task.ignore_result is (name != "sync"), name
