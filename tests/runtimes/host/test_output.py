"""What guests print, each in a log of its own, however it is printed."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtimes.host import output


class Guest:
    """One that has a log, as a lodging has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path.open("w", buffering=1, encoding="utf-8", errors="backslashreplace")

    def run(self, body: Callable[[], object]) -> str:
        """Do `body` in a thread of its own; its log."""
        thread = threading.Thread(target=body)
        output.belongs_to(thread, self)
        thread.start()
        thread.join(20)
        self.log.flush()
        return self.path.read_text()


class Host(contextlib.AbstractContextManager["Host"]):
    """A process in which output is told apart, and its own log. Entered by each test: pytest sets sys.stdout anew."""

    def __init__(self) -> None:
        self.own = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")

    def __enter__(self) -> Host:
        self._before = threading.Thread.start, sys.stdout, sys.stderr
        sys.stdout = sys.stderr = self.own
        output.install()
        return self

    def __exit__(self, *ended: object) -> None:
        threading.Thread.start, sys.stdout, sys.stderr = self._before  # type: ignore[method-assign]

    def said(self) -> str:
        """What is in its own log."""
        self.own.flush()
        return self.own.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    made = Guest(tmp_path / "guest.log")
    yield made
    made.log.close()


def test_each_thread_prints_into_the_log_of_its_guest_and_the_others_into_that_of_the_host(
    guest: Guest, tmp_path: Path
) -> None:
    with Host() as host:
        other = Guest(tmp_path / "other.log")
        assert other.run(lambda: print("theirs", file=sys.stderr)) == "theirs\n"
        assert guest.run(lambda: print("mine")) == "mine\n"
        print("of nobody")
        other.log.close()
        assert host.said() == "of nobody\n"


def test_a_thread_that_a_guest_starts_is_its_own_and_so_is_what_that_one_starts(guest: Guest) -> None:
    with Host() as host:
        mine: list[threading.Thread] = []

        def deep() -> None:
            mine.extend(output.threads_of(guest))
            print("from below")

        def begin(body: Callable[[], None]) -> None:
            thread = threading.Thread(target=body)
            thread.start()
            thread.join(20)

        assert guest.run(lambda: begin(lambda: begin(deep))) == "from below\n"
        assert len(mine) == 3
        assert output.threads_of(guest) == []
        assert host.said() == ""


def test_bytes_that_are_printed_go_into_the_log_in_their_order(guest: Guest) -> None:
    with Host():

        def body() -> None:
            print("text")
            sys.stdout.buffer.write(b"bytes\n")
            sys.stdout.flush()
            print("text again")

        assert guest.run(body) == "text\nbytes\ntext again\n"


def test_a_guest_may_set_how_it_prints_as_apps_do(guest: Guest) -> None:
    with Host():

        def body() -> None:
            sys.stdout.reconfigure(line_buffering=True, encoding="utf-8")  # type: ignore[union-attr]
            print("set")

        assert guest.run(body) == "set\n"


def test_what_no_text_can_hold_is_told_all_the_same(guest: Guest) -> None:
    with Host():
        assert guest.run(lambda: print("odd \udcff ünd \x1b[31mred")) == "odd \\udcff ünd \x1b[31mred\n"


def test_it_looks_like_a_stream_that_is_no_terminal(guest: Guest) -> None:
    with Host() as host:
        assert (sys.stdout.isatty(), sys.stdout.writable(), sys.stdout.encoding) == (False, True, "utf-8")
        with contextlib.suppress(OSError):  # that of a test has no descriptor
            assert sys.stdout.fileno() == host.own.fileno()

        def log() -> None:
            handler = logging.StreamHandler()
            handler.handle(logging.makeLogRecord({"msg": "logged"}))

        assert guest.run(log) == "logged\n"


def test_a_guest_that_closes_its_output_closes_that_of_nobody(guest: Guest) -> None:
    with Host() as host:
        assert guest.run(lambda: (sys.stdout.close(), print("still"))) == "still\n"
        print("here too")
        assert host.said() == "here too\n"


def test_a_thread_that_outlives_its_guest_prints_into_the_log_of_the_host(guest: Guest) -> None:
    with Host() as host:

        def body() -> None:
            guest.log.close()
            print("late")
            guest.log = guest.path.open("a")

        assert guest.run(body) == ""
        assert host.said() == "late\n"
