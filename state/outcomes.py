"""How the last step of an app on a node ended: what status, back-off and the next plan are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from state.documents import decode, encode
from state.store import Store

Result = Literal["ok", "failed", "blocked", "rolled_back", "superseded", "invalid"]

POST_DEPLOY_FAILED = "PostDeployFailed"
"""The reason of an app that is live and healthy, but whose post_deploy failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One ended step. Times are seconds since the epoch.

    `digest` is the spec that was tried; it is not tried again before `not_before` unless forced.
    `attempts` counts the tries in a row, `by` names the app that a blocked one waits for.
    """

    app: str
    node: str
    action: str
    result: Result
    digest: str = ""
    version: str = ""
    reason: str = ""
    message: str = ""
    run: str = ""
    revision: str = ""
    at: float = 0.0
    attempts: int = 0
    not_before: float = 0.0
    by: str = ""


class Outcomes:
    """The last outcome of each app on each node, in Redis."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = store.key("outcomes")

    def all(self) -> dict[tuple[str, str], Outcome]:
        """By app and node."""
        found = (decode(Outcome, text) for text in self._store.client.hvals(self._key))
        return {(outcome.app, outcome.node): outcome for outcome in found}

    def get(self, app: str, node: str) -> Outcome | None:
        """The last outcome of `app` on `node`."""
        text = self._store.client.hget(self._key, _field(app, node))
        return decode(Outcome, text) if text else None

    def put(self, outcome: Outcome, pipe: Any = None) -> None:
        """Remember `outcome` in place of the one before."""
        client = pipe if pipe is not None else self._store.client
        client.hset(self._key, _field(outcome.app, outcome.node), encode(outcome))

    def drop(self, app: str, node: str, pipe: Any = None) -> None:
        """Forget the outcome of `app` on `node`."""
        (pipe if pipe is not None else self._store.client).hdel(self._key, _field(app, node))


def _field(app: str, node: str) -> str:
    return f"{app}@{node}"
