"""Small documents by name, many of them, in one SQLite file: for what several processes of a machine share.

Used for whole specs (`specs.vault`) and by the runtime that runs nothing (`runtimes.noop`). A file for each document
would do, but making a file costs a hundred times what a row does. A document is written whole or not at all, whoever
is killed meanwhile. After a power loss the file may be damaged: it then counts as empty and is begun anew, so only
what can be had again from elsewhere belongs here. May be used by many processes and threads, and after a fork.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")
_PATIENCE = 30.0
_PARTS = ("", "-wal", "-shm", "-journal")
_BEGINNING = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -256",  # KiB; its 2 MB would be taken by each process of a pool, for what is read once
    "PRAGMA secure_delete = ON",  # documents may hold what is secret
    "CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID",
)
_AT_ONCE = 500  # names in one statement; SQLite takes 999 everywhere


class _Opened:
    """A connection of one process, and the file that it is of."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.pid = os.getpid()
        self.inode = path.stat().st_ino
        self.lock = threading.Lock()


class Shelf:
    """The documents in the file `path`, which only its owner may read. Every method may raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: _Opened | None = None
        self._inherited: list[_Opened] = []  # of the process that forked us: SQLite forbids even to close them
        self._opening = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The document of that name; None when there is none."""
        if not self.path.exists():
            return None
        row = self._do(lambda db: db.execute("SELECT content FROM documents WHERE name = ?", (name,)).fetchone())
        return row[0] if row else None

    def all(self) -> dict[str, bytes]:
        """Every document, by name."""
        if not self.path.exists():
            return {}
        return dict(self._do(lambda db: db.execute("SELECT name, content FROM documents").fetchall()))

    def names(self) -> set[str]:
        """The names of all documents."""
        if not self.path.exists():
            return set()
        return {name for (name,) in self._do(lambda db: db.execute("SELECT name FROM documents").fetchall())}

    def put(self, documents: Mapping[str, bytes]) -> None:
        """Keep `documents`, all of them or none, in place of those of the same names. Equal ones are not written."""

        def write(db: sqlite3.Connection) -> None:
            with _transaction(db):
                db.executemany(
                    "INSERT INTO documents VALUES (?, ?) ON CONFLICT (name) DO UPDATE"
                    " SET content = excluded.content WHERE content <> excluded.content",
                    documents.items(),
                )

        if documents:
            self._do(write)

    def drop(self, names: Collection[str]) -> int:
        """Forget the documents of those names; how many there were."""

        def write(db: sqlite3.Connection) -> int:
            gone, wanted = 0, list(names)
            with _transaction(db):
                for at in range(0, len(wanted), _AT_ONCE):
                    some = wanted[at : at + _AT_ONCE]
                    marks = ", ".join("?" * len(some))
                    gone += db.execute(f"DELETE FROM documents WHERE name IN ({marks})", some).rowcount  # noqa: S608 - marks only
            return gone

        return self._do(write) if names and self.path.exists() else 0

    def _do(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do one thing with the file; when it is damaged, once more with an empty one."""
        import sqlite3

        for again in (True, False):
            opened = self._open()
            try:
                with opened.lock:
                    return action(opened.connection)
            except sqlite3.OperationalError as error:  # busy, full, not ours
                raise OSError(str(error)) from error
            except sqlite3.DatabaseError as error:
                if not again:
                    raise OSError(f"{self.path} is damaged: {error}") from error
                self._begin_anew(opened)
        raise AssertionError("unreachable")

    def _open(self) -> _Opened:
        with self._opening:
            opened = self._opened
            if opened is not None and opened.pid != os.getpid():
                self._inherited.append(opened)
                opened = None
            if opened is not None and opened.inode == self._inode():
                return opened
            if opened is not None:
                opened.connection.close()
            self._opened = self._connect()
            return self._opened

    def _connect(self) -> _Opened:
        import sqlite3

        with self._alone():
            self._make()
            try:
                return self._connected()
            except sqlite3.OperationalError as error:
                raise OSError(str(error)) from error
            except sqlite3.DatabaseError:
                self._remove()
                self._make()
                return self._connected()

    def _make(self) -> None:
        """Make an empty file, unless there is one."""
        if not self.path.exists():
            for part in _PARTS[1:]:  # what an old file left would be taken for the new one's
                self._part(part).unlink(missing_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))

    def _connected(self) -> _Opened:
        import sqlite3

        connection = sqlite3.connect(
            self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        try:
            _begin(connection)
            return _Opened(connection, self.path)
        except (sqlite3.DatabaseError, OSError):  # damaged, or removed since
            connection.close()
            raise

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Of all processes the only one that opens, makes or removes the file.

        What lies beside a file that is made anew is removed first: it must not be that of who made it a moment before.
        """
        import fcntl

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _begin_anew(self, damaged: _Opened) -> None:
        with self._opening, self._alone():
            if self._opened is damaged:
                damaged.connection.close()
                self._opened = None
                if self._inode() == damaged.inode:
                    self._remove()

    def _remove(self) -> None:
        for part in _PARTS:
            self._part(part).unlink(missing_ok=True)

    def _part(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)

    def _inode(self) -> int:
        try:
            return os.stat(self.path).st_ino  # noqa: PTH116 - one for each document that is read
        except FileNotFoundError:
            return 0


def _begin(connection: sqlite3.Connection) -> None:
    """Have the table, and a log to write ahead to. SQLite does not wait where two processes switch that on at once."""
    import sqlite3

    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            for statement in _BEGINNING:
                connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(Exception):  # what went wrong before tells more
            db.execute("ROLLBACK")
        raise
