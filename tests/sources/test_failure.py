"""Failures tell what happened, what the tool said, and what to do."""

from __future__ import annotations

import pytest

import sources
from celeriac.errors import CeleriacError
from sources.failure import SourceFailure, Unreachable, VersionMissing


def test_a_failure_reads_message_then_output_then_hint() -> None:
    failure = VersionMissing("no version of shop satisfies ==2", output=["error: no"], hint="newest is 1")
    assert str(failure) == "no version of shop satisfies ==2\n  error: no\n  newest is 1"
    assert isinstance(failure, CeleriacError)


@pytest.mark.parametrize(
    ("name", "retryable"),
    [
        ("ArchiveTooLarge", False),
        ("BadSource", False),
        ("BuildFailed", False),
        ("ChecksumMismatch", False),
        ("NothingToRun", False),
        ("RefMissing", True),
        ("UnsafeArchive", False),
        ("Unreachable", True),
        ("VersionMissing", True),
    ],
)
def test_each_kind_has_a_reason_of_its_own_and_says_whether_time_may_heal_it(name: str, retryable: bool) -> None:
    failure = getattr(sources, name)("x")
    assert isinstance(failure, SourceFailure)
    assert (failure.reason, failure.retryable) == (name, retryable)


def test_one_failure_may_differ_from_its_kind() -> None:
    failure = Unreachable("x", retryable=False, reason="Other")
    assert (failure.reason, failure.retryable, Unreachable("y").retryable) == ("Other", False, True)
