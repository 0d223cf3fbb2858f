"""Documents that several processes share: whole, private, and begun anew rather than wrong."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from celeriac.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "kept" / "things.db")


def test_documents_come_back_until_they_are_dropped(shelf: Shelf) -> None:
    shelf.put({"a": b"1", "b": b"\x00\xff"})
    shelf.put({"a": b"2"})
    assert (shelf.get("a"), shelf.get("b"), shelf.get("c")) == (b"2", b"\x00\xff", None)
    assert shelf.all() == {"a": b"2", "b": b"\x00\xff"}
    assert shelf.drop(["a", "c"]) == 1
    assert shelf.names() == {"b"}


def test_many_documents_are_dropped_at_once(shelf: Shelf) -> None:
    shelf.put({str(number): b"x" for number in range(2500)})
    assert shelf.drop({str(number) for number in range(2400)}) == 2400
    assert len(shelf.names()) == 100


def test_reading_makes_no_file(shelf: Shelf) -> None:
    assert (shelf.get("a"), shelf.all(), shelf.names(), shelf.drop(["a"])) == (None, {}, set(), 0)
    shelf.put({})
    assert not shelf.path.parent.exists()


def test_file_and_folder_are_private_whatever_the_umask(shelf: Shelf) -> None:
    before = os.umask(0)
    try:
        shelf.put({"a": b"secret"})
    finally:
        os.umask(before)
    assert stat.S_IMODE(shelf.path.parent.stat().st_mode) == 0o700
    for path in shelf.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_dropped_is_gone_from_the_disk(shelf: Shelf) -> None:
    shelf.put({"a": b"hunter2" * 100})
    shelf.drop(["a"])
    assert shelf._opened is not None
    shelf._opened.connection.close()  # the last to close it writes its log back
    for path in shelf.path.parent.iterdir():
        assert b"hunter2" not in path.read_bytes()


@pytest.mark.parametrize("damage", [b"", b"not a database" * 500])
def test_a_damaged_file_counts_as_empty(shelf: Shelf, damage: bytes) -> None:
    shelf.put({"a": b"1"})
    assert shelf._opened is not None
    shelf._opened.connection.close()
    shelf.path.write_bytes(damage)
    other = Shelf(shelf.path)
    assert other.get("a") is None
    other.put({"a": b"2"})
    assert Shelf(shelf.path).get("a") == b"2"


def test_a_file_that_was_removed_is_noticed_by_who_has_it_open(shelf: Shelf) -> None:
    shelf.put({"a": b"1"})
    for path in list(shelf.path.parent.iterdir()):
        path.unlink()
    assert shelf.get("a") is None
    shelf.put({"a": b"2"})
    assert Shelf(shelf.path).all() == {"a": b"2"}


def test_only_the_file_was_removed_and_not_what_lies_beside_it(shelf: Shelf) -> None:
    shelf.put({"a": b"1"})
    shelf.path.unlink()
    shelf.put({"b": b"2"})
    assert Shelf(shelf.path).all() == {"b": b"2"}


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Shelf(tmp_path / "file" / "things.db").put({"a": b"1"})


def test_threads_share_it(shelf: Shelf) -> None:
    threads = [threading.Thread(target=shelf.put, args=({str(number): b"x"},)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shelf.names()) == 16


def test_a_forked_child_uses_it_beside_its_parent(shelf: Shelf) -> None:
    shelf.put({"parent": b"1"})
    child = multiprocessing.get_context("fork").Process(target=shelf.put, args=({"child": b"2"},))
    child.start()
    child.join()
    assert child.exitcode == 0
    shelf.put({"after": b"3"})
    assert shelf.names() == {"parent", "child", "after"}


def test_who_begins_it_leaves_what_another_process_wrote_a_moment_before(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=_write_one, args=(shelf.path,))
    exists = Path.exists

    def looked(path: Path) -> bool:
        there = exists(path)
        if path == shelf.path and other.pid is None:  # the other begins right after we saw that there is no file
            other.start()
            other.join(1.0)
        return there

    monkeypatch.setattr(Path, "exists", looked)
    shelf.put({"ours": b"1"})
    other.join()
    assert other.exitcode == 0
    shelf.put({"after": b"2"})
    assert Shelf(shelf.path).names() == {"ours", "theirs", "after"}


def _write_one(path: Path) -> None:
    Shelf(path).put({"theirs": b"1"})


def _fill_up(path: Path) -> None:
    shelf = Shelf(path)
    shelf.put({"a": b"1"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    with pytest.raises(OSError, match=r"full|I/O"):
        shelf.put({str(number): b"x" * 1000 for number in range(1000)})
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert shelf.names() == {"a"}
    shelf.put({"b": b"2"})


def test_once_a_full_disk_has_room_again_it_goes_on(shelf: Shelf) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_fill_up, args=(shelf.path,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert shelf.names() == {"a", "b"}


def _write_on(path: Path, name: str) -> None:
    shelf = Shelf(path)
    for number in range(10_000):
        shelf.put({f"{name}.{number}.first": b"x" * 500, f"{name}.{number}.second": b"y" * 500})


def test_many_processes_begin_it_and_one_is_killed_while_it_writes(shelf: Shelf) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_on, args=(shelf.path, str(number))) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        deadline = time.monotonic() + 60
        while len({name.split(".")[0] for name in shelf.names()}) < 4:
            assert time.monotonic() < deadline
    finally:
        for writer in writers:
            os.kill(writer.pid or 0, signal.SIGKILL)
        for writer in writers:
            writer.join()
    kept = shelf.all()
    for name in kept:
        pair = name.rpartition(".")[0]
        assert {f"{pair}.first", f"{pair}.second"} <= kept.keys()
    shelf.put({"last": b"1"})
    assert shelf.get("last") == b"1"
