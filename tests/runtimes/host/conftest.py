"""Hosts without a supervisor, ended by id after each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hosting import Case, Hosts


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    started = Hosts(tmp_path)
    (tmp_path / "releases").mkdir()
    yield started
    started.end()


@pytest.fixture
def case(hosts: Hosts) -> Case:
    return Case(hosts)
