"""Somebody who listens on a Unix socket and says what a test wants, as a peer that fails would."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def listening(path: Path, talk: Callable[[socket.socket], None]) -> Iterator[None]:
    """Have `talk` speak with one after the other who connects to `path`; whoever goes away meanwhile is no matter."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(8)

        def work() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # the test is over
                    return
                with connection, contextlib.suppress(OSError):
                    talk(connection)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
