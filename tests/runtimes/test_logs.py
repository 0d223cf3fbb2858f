"""What is read of logs that are written, rotated and replaced at the same time."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runtimes import logs
from runtimes.logs import LogLine, follow, log_files, point, positions, since, tail


def write(home: Path, name: str, content: str | bytes, at: int = 0) -> Path:
    path = home / "logs" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (at, at))
    return path


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


def rotate(path: Path) -> None:
    """As the supervisor does it: what was there is another name's, then there is a new file."""
    for number in (3, 2, 1):
        newer = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
        if newer.exists():
            newer.rename(path.with_name(f"{path.name}.{number}"))
    path.touch()


@contextmanager
def rotated_all_the_time(path: Path) -> Iterator[None]:
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            path.write_text("one\ntwo\n")
            rotate(path)
            path.unlink()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# -- which files


def test_the_logs_of_an_app_are_told_apart_from_those_of_others(tmp_path: Path) -> None:
    for name in (
        "web@blue.main.log",
        "web@green.main.log",
        "web-2.main.log",
        "web.hook.log",
        "web.a.b.log",
        "webx.log",
    ):
        write(tmp_path, name, "")
    write(tmp_path, "web.hook.log.1", "")
    point(tmp_path, "web", "green", ["main"])
    assert log_files(tmp_path, "web").keys() == {"main", "hook", "a.b"}
    assert log_files(tmp_path, "web", "main").keys() == {"main"}
    assert log_files(tmp_path, "web", "nothing") == {}
    assert log_files(tmp_path, "web", side="blue")["main"].name == "web@blue.main.log"
    assert log_files(tmp_path / "nowhere", "web") == {}


@pytest.mark.parametrize("app", ["../other", "a/b", "", "*", "web@blue"])
def test_what_is_no_name_of_an_app_has_no_logs(tmp_path: Path, app: str) -> None:
    write(tmp_path, "web@blue.main.log", "secret")
    assert tail(tmp_path, app, 9) == []


def test_a_link_that_leads_nowhere_is_no_log(tmp_path: Path) -> None:
    point(tmp_path, "web", "blue", ["main"])
    assert (log_files(tmp_path, "web"), tail(tmp_path, "web", 5), positions(tmp_path, "web")) == ({}, [], {})


def test_pointing_replaces_what_an_older_one_wrote_itself_and_leaves_a_good_link_alone(tmp_path: Path) -> None:
    link = write(tmp_path, "web.main.log", "old")
    point(tmp_path, "web", "blue", ["main"])
    assert link.readlink() == Path("web@blue.main.log")
    before = link.lstat().st_ino
    point(tmp_path, "web", "blue", ["main"])
    assert link.lstat().st_ino == before
    point(tmp_path, "web", "green", iter(["main"]))
    assert link.readlink() == Path("web@green.main.log")


def test_what_the_last_generation_of_a_side_printed_is_set_aside(tmp_path: Path) -> None:
    for suffix, content in (("", "4"), (".1", "3"), (".2", "2"), (".3", "1")):
        write(tmp_path, f"web@green.main.log{suffix}", content)
    logs.begin(tmp_path, "web", "green", ["main", "never-ran"])
    found = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert found == {"web@green.main.log.1": "4", "web@green.main.log.2": "3", "web@green.main.log.3": "2"}


# -- the last lines


def test_the_last_lines_go_on_in_older_files_of_both_sides_by_their_age(tmp_path: Path) -> None:
    write(tmp_path, "web@green.main.log", "e\nf", at=50)
    write(tmp_path, "web@blue.main.log", "d\n", at=40)
    write(tmp_path, "web@green.main.log.1", "c\n", at=30)
    write(tmp_path, "web@blue.main.log.1", "b\n", at=20)
    write(tmp_path, "web@blue.main.log.2", "a\n", at=10)
    (tmp_path / "logs" / "web@blue.main.log.3").mkdir()
    point(tmp_path, "web", "green", ["main"])
    for lines, told in ((1, "f"), (2, "ef"), (3, "def"), (9, "abcdef"), (0, ""), (-1, "")):
        assert "".join(texts(tail(tmp_path, "web", lines))) == told


def test_bytes_that_are_no_text_long_lines_and_other_line_ends_are_shown_as_well_as_can_be(tmp_path: Path) -> None:
    write(tmp_path, "web.main.log", b"\xff\x00\r\n\n" + "é".encode() * 5000 + b"\nend")
    assert texts(tail(tmp_path, "web", 9)) == ["\ufffd\x00", "", "é" * 4000, "end"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 50, 70_000]), max_size=8),
    ended=st.booleans(),
    lines=st.integers(0, 9),
    block=st.sampled_from([7, 64 * 1024]),
)
@example(sizes=[50, 50], ended=True, lines=1, block=7)
def test_the_last_lines_are_the_last_however_long_lines_are(
    tmp_path: Path, sizes: list[int], ended: bool, lines: int, block: int
) -> None:
    content = "\n".join(str(number) * size for number, size in enumerate(sizes)) + ("\n" if ended and sizes else "")
    write(tmp_path, "web.main.log", content)
    expected = [line[:4000] for line in content.removesuffix("\n").split("\n")] if content else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "_BLOCK", block if max(sizes, default=0) < 100 else 64 * 1024)
        assert texts(tail(tmp_path, "web", lines)) == (expected[-lines:] if lines else [])


# -- what is new


def test_only_what_was_printed_since_is_told_and_all_of_a_rotated_file(tmp_path: Path) -> None:
    path = write(tmp_path, "web@blue.main.log", "old\nolder\n")
    before = positions(tmp_path, "web", "blue")
    assert since(tmp_path, "web", before, 5, "blue") == []
    append(path, b"1\n2\n3\n")
    assert texts(since(tmp_path, "web", before, 2, "blue")) == ["2", "3"]
    rotate(path)
    append(path, b"new\n")
    write(tmp_path, "web@blue.worker.log", "begun\n")
    assert texts(since(tmp_path, "web", before, 5, "blue")) == ["new", "begun"]


def test_a_log_that_is_rotated_while_it_is_looked_at_fails_nobody(tmp_path: Path) -> None:
    write(tmp_path, "web.main.log", "")
    with rotated_all_the_time(tmp_path / "logs" / "web.main.log"):
        for _ in range(1500):
            assert set(texts(tail(tmp_path, "web", 9))) <= {"one", "two"}
            assert set(positions(tmp_path, "web").values()) <= {0, 8}
            assert len(since(tmp_path, "web", {"main": 0}, 5)) <= 2


# -- following


def test_what_is_followed_is_told_once_through_rotations_and_new_releases(tmp_path: Path) -> None:
    blue = write(tmp_path, "web@blue.main.log", "0\n1\n2\nhal")
    point(tmp_path, "web", "blue", ["main"])
    followed = follow(tmp_path, "web", lines=2, every=0.001)
    assert [next(followed).text for _ in range(2)] == ["1", "2"]
    append(blue, b"f\n")
    assert next(followed).text == "half"
    append(blue, b"before\n")
    rotate(blue)
    append(blue, b"after\n")
    assert [next(followed).text for _ in range(2)] == ["before", "after"]
    write(tmp_path, "web@green.main.log", "green\n")
    append(blue, b"last of blue\n")
    point(tmp_path, "web", "green", ["main"])
    assert [next(followed).text for _ in range(2)] == ["last of blue", "green"]
    write(tmp_path, "web.worker.log", "a new process\n")
    assert next(followed) == LogLine("worker", "a new process")
    followed.close()


def test_a_line_that_a_rotation_or_the_end_of_a_release_cut_off_is_not_lost(tmp_path: Path) -> None:
    blue = write(tmp_path, "web@blue.main.log", "0\n")
    point(tmp_path, "web", "blue", ["main"])
    followed = follow(tmp_path, "web", every=0.001)
    assert next(followed).text == "0"
    append(blue, b"cut ")
    rotate(blue)
    append(blue, b"in two\nlast words")
    assert [next(followed).text for _ in range(2)] == ["cut ", "in two"]
    write(tmp_path, "web@green.main.log", "green\n")
    point(tmp_path, "web", "green", ["main"])
    assert [next(followed).text for _ in range(2)] == ["last words", "green"]
    followed.close()


def test_a_file_that_is_emptied_in_its_place_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = write(tmp_path, "web.main.log", "one\ntwo\n")
    followed = follow(tmp_path, "web", lines=1, every=0.001)
    assert next(followed).text == "two"
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(b"new\n")
    assert next(followed).text == "new"
    followed.close()


def test_whoever_stops_still_gets_what_is_there_and_leaves_nothing_open(tmp_path: Path) -> None:
    path = write(tmp_path, "web.main.log", "one\n")
    before = len(list(Path("/proc/self/fd").iterdir()))
    asked = itertools.count()

    def stop() -> bool:
        append(path, b"more\n")
        return next(asked) == 2

    found = [line.text for line in follow(tmp_path, "web", lines=0, stop=stop, every=0)]
    assert found == ["more", "more"]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
