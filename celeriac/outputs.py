"""Reads what a child process prints on its two pipes while somebody waits for its end; used by `celeriac.process`."""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import IO

_LINE = 65536


class Poller:
    """Reads pipes as they have something, in the thread that waits anyway: each thread more costs a millisecond."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._readers: dict[int, Callable[[bytes], None]] = {}

    def add(self, pipe: IO[bytes], read: Callable[[bytes], None]) -> None:
        """Give `read` what comes, and nothing at the end."""
        self._readers[pipe.fileno()] = read
        self._poll.register(pipe, select.POLLIN)

    def look(self, seconds: float, ended: int = -1) -> bool:
        """Wait so long at most until something comes, and read it; whether the descriptor `ended` is ready."""
        if ended >= 0:
            self._poll.register(ended, select.POLLIN)
        ready = {descriptor for descriptor, _ in self._poll.poll(seconds * 1000)}
        if ended >= 0:
            self._poll.unregister(ended)
        for descriptor in ready - {ended}:
            content = os.read(descriptor, _LINE)
            self._readers[descriptor](content)
            if not content:
                self._poll.unregister(descriptor)
                del self._readers[descriptor]
        return ended in ready

    def read_all(self, seconds: float) -> None:
        """Read to every end; in vain, and for so long at most, when a process that left the group holds a pipe."""
        deadline = time.monotonic() + seconds
        while self._readers and (left := deadline - time.monotonic()) > 0:
            self.look(left)


class Output:
    """What a child prints on both its pipes, of which bounded amounts are kept."""

    def __init__(
        self,
        stdout: IO[bytes] | None,
        stderr: IO[bytes] | None,
        tail_lines: int,
        max_output: int,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self._told = told
        self.tail: deque[str] = deque(maxlen=tail_lines)
        self._chunks: list[bytes] = []
        self._room = max_output
        self.poller = Poller()
        self._pipes = [pipe for pipe in (stdout, stderr) if pipe is not None]
        self._lines = [_Lines(self._line, self._keep if pipe is stdout else None) for pipe in self._pipes]
        for pipe, lines in zip(self._pipes, self._lines, strict=True):
            self.poller.add(pipe, lines.read)

    def _keep(self, content: bytes) -> None:
        if self._room > 0:
            self._chunks.append(content[: self._room])
            self._room -= len(content)

    def _line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            self.tail.append(text[:2000])
        if self._told is not None:
            self._told(text)

    def finish(self) -> None:
        """Read what is left. Where somebody still holds a pipe, a line that has no end yet ends here."""
        self.poller.read_all(2)
        for pipe, lines in zip(self._pipes, self._lines, strict=True):
            lines.read(b"")
            pipe.close()

    def text(self) -> str:
        return b"".join(self._chunks).decode("utf-8", "replace")


class _Lines:
    """Makes lines, of bounded length, of what comes in pieces."""

    def __init__(self, line: Callable[[bytes], None], keep: Callable[[bytes], None] | None) -> None:
        self._line = line
        self._keep = keep
        self._rest = b""

    def read(self, content: bytes) -> None:
        """Take another piece; an empty one is the end."""
        if self._keep is not None:
            self._keep(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        if self._rest and (not content or len(self._rest) >= _LINE):
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._line(line)
