"""The desired state as last parsed: what each file of the repository said, and the apps they make together.

Written by the `diff` step, read by the planner, the status and the command line. Holds summaries only
(`specs.desired.DesiredApp`): no environment, command or URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from specs.desired import DesiredApp
from state.documents import decode, encode
from state.store import Store


@dataclass(frozen=True, slots=True)
class Head:
    """The revision in force, and who made it. Times are seconds since the epoch."""

    revision: str
    branch: str = ""
    author: str = ""
    subject: str = ""
    committed_at: float = 0.0
    parsed_at: float = 0.0
    apps_dir_found: bool = True


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """How the last look at the remote repository went. `revision` is what its branch points to."""

    ok: bool
    checked_at: float
    revision: str = ""
    reason: str = ""
    message: str = ""


class Desired:
    """The desired state in Redis."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def head(self) -> Head | None:
        """The revision in force; None before the first sync."""
        text = self._store.client.get(self._store.key("desired", "head"))
        return decode(Head, text) if text else None

    def files(self) -> dict[str, DesiredApp]:
        """What each file said, by its path, before the rules that span files."""
        return self._all("files")

    def apps(self) -> dict[str, DesiredApp]:
        """All apps by name, sorted."""
        return self._all("apps")

    def app(self, name: str) -> DesiredApp | None:
        """One app."""
        text = self._store.client.hget(self._store.key("desired", "apps"), name)
        return decode(DesiredApp, text) if text else None

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """The digest desired now of each of `names` that is an app."""
        wanted = list(names)
        texts = self._store.client.hmget(self._store.key("desired", "apps"), wanted) if wanted else []
        return {name: decode(DesiredApp, text).digest for name, text in zip(wanted, texts, strict=True) if text}

    def snapshot(self) -> tuple[Head | None, dict[str, DesiredApp]]:
        """The revision in force and all apps, of one moment."""
        pipe = self._store.pipeline(transaction=True)
        pipe.get(self._store.key("desired", "head"))
        pipe.hgetall(self._store.key("desired", "apps"))
        head, apps = pipe.execute()
        return (decode(Head, head) if head else None), _decoded(apps)

    def write(
        self,
        head: Head,
        files: Mapping[str, DesiredApp],
        apps: Mapping[str, DesiredApp],
        removed_files: Iterable[str] = (),
        removed_apps: Iterable[str] = (),
        *,
        replace: bool = False,
    ) -> None:
        """Put `head` in force with these entries, all or nothing. `replace`: nothing else remains."""
        pipe = self._store.pipeline(transaction=True)
        for kind, entries, removed in (("files", files, removed_files), ("apps", apps, removed_apps)):
            key = self._store.key("desired", kind)
            gone = list(removed)
            if replace:
                pipe.unlink(key)
            elif gone:
                pipe.hdel(key, *gone)
            if entries:
                pipe.hset(key, mapping={name: encode(app) for name, app in entries.items()})
        pipe.set(self._store.key("desired", "head"), encode(head))
        pipe.execute()

    def remote(self) -> RemoteStatus | None:
        """How the last look at the remote went."""
        text = self._store.client.get(self._store.key("desired", "remote"))
        return decode(RemoteStatus, text) if text else None

    def set_remote(self, status: RemoteStatus, pipe: Any = None) -> None:
        """Remember how a look at the remote went."""
        (pipe if pipe is not None else self._store.client).set(self._store.key("desired", "remote"), encode(status))

    def _all(self, kind: str) -> dict[str, DesiredApp]:
        return _decoded(self._store.client.hgetall(self._store.key("desired", kind)))


def _decoded(texts: Mapping[str, str]) -> dict[str, DesiredApp]:
    return {name: decode(DesiredApp, texts[name]) for name in sorted(texts)}
