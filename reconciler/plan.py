"""The plan as a value: made, printed, compared, stored, pinned by its id, before anything acts on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

Action = Literal["deploy", "upgrade", "reconfigure", "repair", "record", "adopt", "rollback", "remove"]

TASKS: Mapping[Action, str] = {
    "deploy": "deploy",
    "adopt": "deploy",
    "repair": "deploy",
    "upgrade": "upgrade",
    "reconfigure": "reconfigure",
    "record": "reconfigure",
    "rollback": "rollback",
    "remove": "remove",
}

WITH_HOOKS: frozenset[str] = frozenset({"deploy", "upgrade", "adopt"})
"""What hooks are run around. A repair brings nothing new; a roll-back must be quick, and no hook undoes another."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do to one app on one node, after everything in `needs` (keys `app@node`) went well.

    `digest` is the spec to bring about (empty for remove), `from_digest` the one that is live. `detail` says in words
    what led to it, where `reason` does not say all; `hooks` names the commands that are run around it.
    """

    app: str
    node: str
    action: Action
    digest: str = ""
    version: str = ""
    from_version: str = ""
    from_digest: str = ""
    reason: str = ""
    needs: tuple[str, ...] = ()
    detail: str = ""
    hooks: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The change's name within its plan: one change per app and node."""
        return f"{self.app}@{self.node}"


@dataclass(frozen=True, slots=True)
class Held:
    """Something that differs but is left as it is, and why.

    `reason` is a stable word, `by` the app that it waits for, `until` a time (0: none),
    `pending` the action that waits.
    """

    app: str
    node: str
    reason: str
    message: str
    pending: str = ""
    by: str = ""
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What must happen so that live becomes desired, in an order that respects dependencies."""

    revision: str
    changes: tuple[Change, ...] = ()
    held: tuple[Held, ...] = ()
    id: str = field(default="", compare=False)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes

    def document(self) -> dict[str, Any]:
        """The plan as `celeriac plan --json` prints it."""
        return {
            "id": self.id,
            "revision": self.revision,
            "empty": self.empty,
            "actions": [
                {
                    "action": change.action,
                    "app": change.app,
                    "node": change.node,
                    "from_version": change.from_version,
                    "version": change.version,
                    "reason": change.reason,
                    "after": [need.rsplit("@", 1)[0] for need in change.needs],
                    "detail": change.detail,
                    "hooks": list(change.hooks),
                }
                for change in self.changes
            ],
            "held": [
                {
                    "app": held.app,
                    "node": held.node,
                    "action": held.pending,
                    "reason": held.reason,
                    "message": held.message,
                    "by": held.by,
                    "until": held.until or None,
                }
                for held in self.held
            ],
        }


def identify(changes: tuple[Change, ...]) -> str:
    """The id of a plan: equal for equal changes, whatever the revision that asks for them, and whatever led to them."""
    alike = [msgspec.to_builtins(replace(change, detail="")) for change in changes]
    return hashlib.sha256(msgspec.json.encode(alike)).hexdigest()[:12]
