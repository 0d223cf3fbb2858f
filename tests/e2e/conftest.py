"""One whole Celeriac per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from installation import Installation


@pytest.fixture
def here() -> Iterator[Installation]:
    """An installation with the noop runtime; nothing of it runs yet."""
    with Installation() as made:
        yield made
