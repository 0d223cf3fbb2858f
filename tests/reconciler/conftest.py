"""A reconciler of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench import Workbench

from state.store import Store


@pytest.fixture
def bench(tmp_path: Path, store: Store) -> Iterator[Workbench]:
    """A workbench; `store` looks at the same keys."""
    made = Workbench(tmp_path, store.url, store.prefix)
    yield made
    made.engine.store.close()
