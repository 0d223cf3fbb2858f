"""Embedded apps: guests of one shared host process under a real supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest
from lodgers import Lodgers

from runtimes.process import ProcessRuntime


@pytest.fixture
def lodgers(home: Path) -> Lodgers:
    return Lodgers(home)


@pytest.fixture
def runtime(lodgers: Lodgers) -> ProcessRuntime:
    return ProcessRuntime(lodgers.context())
