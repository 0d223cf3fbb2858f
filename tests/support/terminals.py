"""A terminal, and how to write to it: a pseudo terminal whose other end is read as it is written."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Self, TextIO


class Terminal:
    """A terminal that a test writes to through `stream`."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self._read: list[bytes] = []
        self._reader = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self.stream.close()
        self._reader.join()
        os.close(self._master)

    def text(self) -> str:
        """All that was written; after that nothing can be."""
        self.stream.close()
        self._reader.join()
        return b"".join(self._read).decode().replace("\r\n", "\n")

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # nobody has it open any more
            while content := os.read(self._master, 65536):
                self._read.append(content)
