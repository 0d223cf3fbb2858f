"""One whole Celeriac per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gates import Gates
from installation import Installation


@pytest.fixture
def here() -> Iterator[Installation]:
    """An installation with the noop runtime; nothing of it runs yet."""
    with Installation() as made:
        yield made


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    """Places where the work of the installation `gated` can be made to wait."""
    return Gates(tmp_path)


@pytest.fixture
def gated(gates: Gates) -> Iterator[Installation]:
    """An installation whose git and whose deploys wait at `gates`; nothing of it runs yet."""
    with Installation(**gates.settings) as made:
        yield made
