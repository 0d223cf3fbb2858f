"""What follows from an error."""

from __future__ import annotations

import pytest

from celeriac.errors import MisuseError
from celeriac.process import CommandCancelledError, CommandTimeoutError
from reconciler.consequences import classify
from runtimes.base import RuntimeFailure, Superseded
from sources.failure import ChecksumMismatch, SourceFailure, Unreachable


@pytest.mark.parametrize("error", [Superseded("a newer one waits"), CommandCancelledError("uv was stopped")])
def test_what_was_given_up_is_superseded(error: Exception) -> None:
    assert classify(error).consequence == "superseded"


def test_a_source_says_itself_whether_it_may_succeed_later() -> None:
    assert classify(ChecksumMismatch("not the file")).consequence == "until_changed"
    assert classify(Unreachable("no answer")).consequence == "retry"
    assert classify(SourceFailure("full", reason="DiskFailure", retryable=True)).consequence == "retry"


@pytest.mark.parametrize(
    ("cause", "consequence"), [(ChecksumMismatch("x"), "until_changed"), (Unreachable("x"), "retry")]
)
def test_a_runtimes_failure_is_judged_by_the_source_behind_it(cause: SourceFailure, consequence: str) -> None:
    failure = RuntimeFailure("web", "build", "x", output=["uv: no such file"], hint="push it")
    failure.__cause__ = cause
    verdict = classify(failure)
    assert verdict.consequence == consequence
    assert verdict.step == "build"
    assert verdict.message == "x\n  uv: no such file\n  push it"


def test_failures_of_the_app_are_retried_and_misuse_is_not() -> None:
    assert classify(RuntimeFailure("web", "health", "no answer")).consequence == "retry"
    assert classify(CommandTimeoutError("uv", tail=["slow"])).message == "uv\n  slow"
    assert classify(MisuseError("no")).consequence == "until_changed"
    assert classify(RuntimeFailure("web", "start", "no", reason="IsolationUnavailable")).consequence == "until_changed"


def test_a_bug_of_ours_is_retried_by_its_kind() -> None:
    verdict = classify(KeyError("x"))
    assert (verdict.consequence, verdict.reason) == ("retry", "KeyError")
