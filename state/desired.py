"""The desired state as last parsed: what each file of the repository said, and the apps they make together.

Written by the `diff` step, read by the planner, the status and the command line. Holds summaries only
(`specs.desired.DesiredApp`): no environment, command or URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from specs.desired import DesiredApp
from state.documents import Remembered, decode, encode
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
    """The desired state in Redis.

    `files` holds what each file said; `made` only those apps that the rules across files changed, by path; `names`
    the digest, blob and path of each app. So putting a revision in force writes what changed, not everything.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._head, self._files, self._made, self._names = (
            store.key("desired", part) for part in ("head", "files", "made", "names")
        )
        self._read, self._read_made = Remembered(DesiredApp), Remembered(DesiredApp)

    def head(self) -> Head | None:
        """The revision in force; None before the first sync."""
        text = self._store.client.get(self._head)
        return decode(Head, text) if text else None

    def files(self) -> dict[str, DesiredApp]:
        """What each file said, by its path, before the rules that span files."""
        return self._read.decode(self._store.client.hgetall(self._files))

    def names(self) -> dict[str, str]:
        """The name of each file's app, by its path."""
        entries = self._store.client.hgetall(self._names).items()
        return {parts[2]: name for name, entry in entries if len(parts := entry.split(" ", 2)) == 3}

    def blobs(self) -> dict[str, str]:
        """The blob of each file, by its path. What an earlier Celeriac wrote otherwise is left out: read anew."""
        entries = (entry.split(" ", 2) for entry in self._store.client.hvals(self._names))
        return {parts[2]: parts[1] for parts in entries if len(parts) == 3}

    def digests(self) -> dict[str, str]:
        """The digest of each app (empty for one that never could be read)."""
        return {name: entry.partition(" ")[0] for name, entry in self._store.client.hgetall(self._names).items()}

    def digest(self, name: str, pipe: Any = None) -> Any:
        """The digest of one app, None when it is not desired; with `pipe`, its reply goes to `digest_in`."""
        reply = (pipe if pipe is not None else self._store.client).hget(self._names, name)
        return reply if pipe is not None else digest_in(reply)

    def app(self, name: str) -> DesiredApp | None:
        """One app."""
        entry = self._store.client.hget(self._names, name)
        if not entry:
            return None
        path = entry.split(" ", 2)[2]
        pipe = self._store.pipeline()
        pipe.hget(self._made, path)
        pipe.hget(self._files, path)
        made, file = pipe.execute()
        return decode(DesiredApp, made or file) if made or file else None

    def apps(self) -> dict[str, DesiredApp]:
        """All apps by name, sorted."""
        return self.snapshot()[1]

    def snapshot(self) -> tuple[Head | None, dict[str, DesiredApp]]:
        """The revision in force and all apps, of one moment."""
        pipe = self._store.pipeline(transaction=True)
        pipe.get(self._head)
        pipe.hgetall(self._files)
        pipe.hgetall(self._made)
        head, files, made = pipe.execute()
        made = self._read_made.decode(made)
        found = [made.get(path, app) for path, app in self._read.decode(files).items()]
        return (decode(Head, head) if head else None), {app.name: app for app in sorted(found, key=_name)}

    def write(
        self,
        head: Head,
        files: Mapping[str, DesiredApp],
        apps: Mapping[str, DesiredApp],
        removed_files: Iterable[str] = (),
        *,
        replace: bool = False,
    ) -> None:
        """Put `head` in force, all or nothing.

        `files` are those that are new or changed, `apps` all apps as assembled. `replace`: forget every file that is
        neither in `files`. Only one writer at a time may do this (the lease `desired`).
        """
        before = {} if replace else self._store.client.hgetall(self._names)
        names = {name: f"{app.digest} {app.blob} {app.path}" for name, app in apps.items()}
        gone = list(removed_files)
        pipe = self._store.pipeline(transaction=True)
        if replace:
            pipe.unlink(self._files, self._names)
        pipe.unlink(self._made)
        _update(pipe, self._files, {path: encode(app) for path, app in files.items()}, gone)
        made = {app.path: encode(app) for app in apps.values() if _touched(app, files.get(app.path))}
        _update(pipe, self._made, made, ())
        changed = {name: entry for name, entry in names.items() if before.get(name) != entry}
        _update(pipe, self._names, changed, [name for name in before if name not in names])
        pipe.set(self._head, encode(head))
        pipe.execute()

    def remote(self) -> RemoteStatus | None:
        """How the last look at the remote went."""
        text = self._store.client.get(self._store.key("desired", "remote"))
        return decode(RemoteStatus, text) if text else None

    def set_remote(self, status: RemoteStatus, pipe: Any = None) -> None:
        """Remember how a look at the remote went."""
        (pipe if pipe is not None else self._store.client).set(self._store.key("desired", "remote"), encode(status))


def digest_in(reply: str | None) -> str | None:
    """The digest in a reply to `Desired.digest`."""
    return None if reply is None else reply.partition(" ")[0]


def _touched(app: DesiredApp, file: DesiredApp | None) -> bool:
    """Whether the rules across files may have changed `app`; a file that was not read anew counts by its problems."""
    return app is not file if file is not None else bool(app.problems) or app.guessed


def _name(app: DesiredApp) -> str:
    return app.name


def _update(pipe: Any, key: str, entries: Mapping[str, str], gone: Iterable[str]) -> None:
    names = list(gone)
    if names:
        pipe.hdel(key, *names)
    if entries:
        pipe.hset(key, mapping=dict(entries))
