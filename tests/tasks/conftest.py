"""The public API of this process, on a Redis, a repository and a home of a test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench import Workbench

from state.store import Store


@pytest.fixture
def settings_in_force(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings as a user's script would find them."""
    for name in [name for name in os.environ if name.startswith(("CELERIAC_", "SENTRY_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "celeriac.toml").touch()
    for name, value in {
        "REDIS_URL": store.url,
        "CELERIAC_KEY_PREFIX": store.prefix,
        "CELERIAC_CONFIG": str(tmp_path / "celeriac.toml"),
        "CELERIAC_HOME": str(tmp_path / "home"),
        "CELERIAC_REPO_URL": str(tmp_path / "repo"),
        "CELERIAC_RUNTIME": "noop",
        "CELERIAC_NODE": "n1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bench(
    tmp_path: Path, store: Store, settings_in_force: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workbench]:
    """A workbench, whose engine is the one that the API gives work to."""
    from tasks import api, engine

    made = Workbench(tmp_path, store.url, store.prefix)
    monkeypatch.setattr(api, "_parts", {})
    monkeypatch.setattr(engine, "_engines", {os.getpid(): made.engine})
    yield made
    made.engine.store.close()
