"""Which hooks of a run have begun, and how they ended: so that each is carried out at most once per run and app.

Who writes the record first carries the hook out. Nobody else ever does in that run, also when that one dies: its
lease, which the record names by its token, tells that it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from state.documents import decode, encode
from state.store import Store

PRE, POST = "pre_deploy", "post_deploy"

_KEPT = 86400


@dataclass(frozen=True, slots=True)
class HookRecord:
    """One hook of one app in one run. `resource` and `token` are the lease of the step that began it on `node`.

    `at` is seconds since the epoch, `seconds` how long it took; `output` are the last lines that it printed.
    """

    hook: str
    state: Literal["running", "ok", "failed"]
    node: str = ""
    resource: str = ""
    token: int = 0
    at: float = 0.0
    seconds: float = 0.0
    message: str = ""
    output: tuple[str, ...] = ()


class HookBook:
    """The records of hooks, each kept for a day."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, run: str, app: str, digest: str, record: HookRecord) -> HookRecord | None:
        """Begin a hook: None when it is ours to carry out, else the record of who began it before."""
        key = self._key(run, app, digest, record.hook)
        if self._store.client.set(key, encode(record), nx=True, ex=_KEPT):
            return None
        return self.get(run, app, digest, record.hook)

    def get(self, run: str, app: str, digest: str, hook: str) -> HookRecord | None:
        """The record of a hook; None when it has not begun, or Redis lost it."""
        text = self._store.client.get(self._key(run, app, digest, hook))
        return decode(HookRecord, text) if text else None

    def end(self, run: str, app: str, digest: str, record: HookRecord) -> bool:
        """Say how a hook that we began ended; False when it is not ours any more."""
        key = self._key(run, app, digest, record.hook)
        return bool(self._store.script("hook_end")(keys=[key], args=[record.token, encode(record), _KEPT]))

    def _key(self, run: str, app: str, digest: str, hook: str) -> str:
        return self._store.key("hook", run, f"{app}:{digest}:{hook}")
