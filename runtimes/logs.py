"""What the apps printed: `<home>/logs/<app>.<process>.log`, which the supervisor rotates (.log.1 is the next older).

That name leads to the log of the generation in force, `<app>@<side>.<process>.log`: each has a file of its own, so that
what a new release says while the old one still runs can be told apart. Used by `celeriac logs`, and by the process
runtime for the last lines of a failure.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runtimes.files import is_app_name, link_atomic
from runtimes.sides import Side, log_name, other

_BLOCK = 64 * 1024
_LINE = 4000
_BACKUPS = 3


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a process printed."""

    process: str
    text: str


def log_files(home: Path, app: str, process: str | None = None, side: Side | None = None) -> dict[str, Path]:
    """The current log file of each process of `app`, or of `process` alone, of the generation in force or of `side`."""
    folder = home / "logs"
    if not is_app_name(app) or not folder.is_dir():
        return {}
    begin = f"{app}@{side}." if side else f"{app}."
    found = {
        name[len(begin) : -len(".log")]: folder / name
        for name in sorted(os.listdir(folder))  # noqa: PTH208
        if name.startswith(begin) and name.endswith(".log") and (folder / name).exists()
    }
    return found if process is None else {name: path for name, path in found.items() if name == process}


def tail(home: Path, app: str, lines: int, process: str | None = None) -> list[LogLine]:
    """The last `lines` lines of each process of `app`, process by process; older files count too."""
    return [
        LogLine(name, text) for name, path in log_files(home, app, process).items() for text in _last_lines(path, lines)
    ]


def point(home: Path, app: str, side: Side, processes: Iterable[str]) -> None:
    """Have the logs of `app` be those of one generation."""
    folder = home / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for process in processes:
        link, target = folder / f"{app}.{process}.log", log_name(app, side, process)
        if not link.is_symlink() or os.readlink(link) != target:  # noqa: PTH115 - a relative target is wanted
            link_atomic(link, target)


def begin(home: Path, app: str, side: Side, processes: Iterable[str]) -> None:
    """Set aside what the last generation on `side` printed. Nothing of it runs, and it is not the one in force."""
    for process in processes:
        path = home / "logs" / log_name(app, side, process)
        for number in range(_BACKUPS, 0, -1):
            newer = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
            with suppress(FileNotFoundError):
                newer.rename(path.with_name(f"{path.name}.{number}"))


def positions(home: Path, app: str, side: Side | None = None) -> dict[str, int]:
    """How long each log file is now: what `since` takes to tell new lines from old."""
    return {name: _size(path) for name, path in log_files(home, app, side=side).items()}


def since(home: Path, app: str, start: dict[str, int], lines: int, side: Side | None = None) -> list[LogLine]:
    """The last `lines` lines of each process that were printed after `start` was taken."""
    result = []
    for name, path in log_files(home, app, side=side).items():
        size = _size(path)
        begun = start.get(name, 0)
        with suppress(FileNotFoundError):  # between the two steps of a rotation
            # A file that is shorter than it was has been rotated: all of it is new.
            new = _lines(_read_end(path, size - begun if size >= begun else size, lines))
            result += [LogLine(name, text) for text in new[-lines:]]
    return result


def _size(path: Path) -> int:
    """The length of a file, which between the two steps of a rotation is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@dataclass(slots=True)
class _Followed:
    """One open log file: how far it was read, and the beginning of a line that is not complete yet."""

    file: BinaryIO
    inode: int
    rest: bytes = b""

    def read(self) -> list[str]:
        content = self.rest + self.file.read()
        *complete, self.rest = content.split(b"\n")
        return [_text(line) for line in complete]


def follow(
    home: Path,
    app: str,
    process: str | None = None,
    *,
    lines: int = 10,
    stop: Callable[[], bool] = lambda: False,
    every: float = 0.25,
) -> Iterator[LogLine]:
    """The last `lines` lines, then each new one as it comes, through rotations and new processes.

    Ends when `stop` says so; it is asked `every` so many seconds.
    """
    followed: dict[str, _Followed] = {}
    first = True
    try:
        while True:
            last_look = stop()
            for name, path in log_files(home, app, process).items():
                for text in _news(followed, name, path, lines if first else None):
                    yield LogLine(name, text)
            first = False
            if last_look:
                return
            time.sleep(every)
    finally:
        for one in followed.values():
            one.file.close()


def _news(followed: dict[str, _Followed], name: str, path: Path, lines: int | None) -> Iterator[str]:
    known = followed.get(name)
    try:
        inode = path.stat().st_ino
        shrunk = known is not None and path.stat().st_size < known.file.tell()
    except FileNotFoundError:  # between the two steps of a rotation
        return
    if known is not None:
        yield from known.read()
        if known.inode == inode and not shrunk:
            return
        if known.rest:  # a line that was cut by a rotation, or by the end of the process
            yield _text(known.rest)
        known.file.close()
        del followed[name]
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    opened = followed[name] = _Followed(file, os.fstat(file.fileno()).st_ino)
    if lines is not None:
        yield from _last_lines(path, lines, until=_end_of_last_line(file))
        return
    yield from opened.read()


def _end_of_last_line(file: BinaryIO) -> int:
    """Put `file` behind its last complete line and return where that is."""
    size = file.seek(0, os.SEEK_END)
    begin = file.seek(max(0, size - _BLOCK))
    block = file.read(size - begin)
    return file.seek(begin + block.rfind(b"\n") + 1)


def _last_lines(path: Path, lines: int, until: int | None = None) -> list[str]:
    if lines <= 0:
        return []
    found: list[str] = []
    for one in _newest_first(path):
        with suppress(FileNotFoundError):  # between the two steps of a rotation
            size = one.stat().st_size if found or until is None else until
            found = _lines(_read_end(one, size, lines - len(found), end=size)) + found
            until = None
        if len(found) >= lines:
            break
    return found[-lines:]


def _newest_first(path: Path) -> list[Path]:
    """The files that hold what a process printed: its own, then older ones, whichever generation wrote them."""
    own = path.resolve()
    app, _, rest = own.name.partition("@")
    side, _, base = rest.partition(".")
    beside = own.with_name(log_name(app, other("green" if side == "green" else "blue"), base.removesuffix(".log")))
    older = [one.with_name(f"{one.name}.{number}") for one in (own, beside) for number in range(1, _BACKUPS + 1)]
    found: list[tuple[float, Path]] = []
    for one in (*older, *([beside] if rest else [])):
        with suppress(FileNotFoundError):  # most are never there, and one may be rotated away meanwhile
            status = one.stat()
            if stat.S_ISREG(status.st_mode):
                found.append((status.st_mtime, one))
    return [own, *(one for _, one in sorted(found, key=lambda entry: entry[0], reverse=True))]


def _read_end(path: Path, size: int, lines: int, *, end: int | None = None) -> bytes:
    """Of the last `size` bytes before `end` (default: the end of the file), enough for `lines` lines."""
    with path.open("rb") as file:
        stop = file.seek(0, os.SEEK_END) if end is None else end
        begin, at = max(0, stop - size), stop
        content = b""
        while at > begin and content.count(b"\n") <= lines:
            step = min(_BLOCK, at - begin)
            at -= step
            file.seek(at)
            content = file.read(step) + content
    return content


def _lines(content: bytes) -> list[str]:
    return [_text(line) for line in content.removesuffix(b"\n").split(b"\n")] if content else []


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")[:_LINE]
