"""What an app says when it fails is kept in Redis, but not its credentials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from workbench import Workbench

from reconciler.observe import observe
from runtimes.base import RuntimeFailure
from state.store import Store

SAID = ("cannot connect to postgres://joe:s3cretpw@db/shop", "with the key abcdefgh-1")


def everything(store: Store) -> str:
    """All that is in Redis."""
    read: dict[str, Any] = {
        "hash": lambda key: store.client.hgetall(key),
        "list": lambda key: store.client.lrange(key, 0, -1),
        "stream": lambda key: store.client.xrange(key),
        "string": lambda key: store.client.get(key),
    }
    keys = store.client.scan_iter(f"{store.key('')}*")
    return "\n".join(str(read[kind](key)) for key in keys if (kind := store.client.type(key)) in read)


@pytest.fixture
def secretive(bench: Workbench) -> Workbench:
    for version in ("1.0.0", "2.0.0"):
        bench.app("web", version, DB="postgres://joe:s3cretpw@db/shop", API_KEY="abcdefgh-1")
        bench.commit(version)
        if version == "1.0.0":
            bench.sync()
    return bench


@pytest.mark.parametrize("both", [False, True])
def test_what_an_upgrade_said_that_failed_is_kept_without_credentials(
    secretive: Workbench, store: Store, monkeypatch: pytest.MonkeyPatch, both: bool
) -> None:
    runtime = secretive.engine.runtime
    real = runtime.upgrade

    def fails(spec: Any, old: str) -> Any:
        if both or spec.version == "2.0.0":
            raise RuntimeFailure("web", "start", f"it ended: {SAID[1]}", output=SAID)
        return real(spec, old)

    monkeypatch.setattr(runtime, "upgrade", fails)
    secretive.sync()
    kept = everything(store)
    assert "cannot connect to postgres://***@db/shop" in kept
    assert "s3cretpw" not in kept
    assert "abcdefgh-1" not in kept


def test_so_is_what_an_app_said_that_fell_ill(
    secretive: Workbench, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill = replace(secretive.live("web"), status="failed", health="unhealthy", message="\n".join(SAID))
    monkeypatch.setattr(secretive.engine.runtime, "current_state", lambda: {"web": ill})
    observe(secretive.engine)
    kept = everything(store)
    assert "cannot connect to postgres://***@db/shop" in kept
    assert "s3cretpw" not in kept
    assert "abcdefgh-1" not in kept
