"""Files that are replaced whole or not at all, and locks that die with their holder."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_for

from runtimes.files import LockTimeoutError, is_app_name, is_locked, link_atomic, locked, write_atomic

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def small_files() -> Iterator[int]:
    """As on a disk that is nearly full: what is written beyond so many bytes is refused, up to there it is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        yield 5000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("name", ["a", "web", "a-b_c9", "a" + "b" * 62])
def test_what_can_be_an_apps_name(name: str) -> None:
    assert is_app_name(name)


@pytest.mark.parametrize("name", ["", "Web", "9a", "a" + "b" * 63, "a.b", "a/b", "..", "web\n", "@front", "wéb", "a b"])
def test_what_is_not_safe_as_a_part_of_a_path_is_no_apps_name(name: str) -> None:
    assert not is_app_name(name)


@pytest.mark.parametrize("content", [b"", b"short", b"\x00\xff" * 100_000], ids=["empty", "short", "long"])
def test_a_file_is_replaced_for_its_owner_only_and_nothing_is_left_beside_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_atomic(path, content)
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("more", [1, 15_000, 200_000])
def test_a_disk_that_is_nearly_full_leaves_the_old_content_and_nothing_beside_it(
    tmp_path: Path, small_files: int, more: int
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(OSError, match="too large"):
        write_atomic(path, b"n" * (small_files + more))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_folder_in_the_place_of_the_file_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path / "file", b"new")
    assert names(tmp_path) == ["file"]


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "file").symlink_to("target")
    write_atomic(tmp_path / "file", b"ours")
    assert (tmp_path / "target").read_bytes() == b"theirs"
    assert not (tmp_path / "file").is_symlink()


def test_a_link_where_the_temporary_file_is_to_be_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / f"file.{os.getpid()}-{threading.get_ident()}.tmp").symlink_to("target")
    with pytest.raises(OSError, match="symbolic links"):
        write_atomic(tmp_path / "file", b"ours")
    assert (tmp_path / "target").read_bytes() == b"theirs"


def test_a_reader_never_sees_half_of_what_several_threads_write(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {bytes([65 + number]) * (70_000 + number) for number in range(3)}
    write_atomic(path, next(iter(contents)))
    writers = [
        threading.Thread(target=lambda one=one: [write_atomic(path, one) for _ in range(60)])  # type: ignore[misc]
        for one in contents
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in contents
    assert names(tmp_path) == ["file"]


def test_a_link_is_put_in_the_place_of_a_link_or_a_file(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.write_text("a file")
    for target in ("one", "../two"):
        left = Path(f"{link}.{os.getpid()}-{threading.get_ident()}.tmp")
        left.symlink_to("left by one that was killed")
        link_atomic(link, target)
        assert link.readlink() == Path(target)
        assert names(tmp_path) == ["link"]


def test_a_lock_is_seen_while_it_is_held_and_looking_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    assert not path.exists()
    with locked(path, timeout=5):
        assert is_locked(path)
    assert not is_locked(path)
    with locked(path, timeout=0):  # looking has left no lock behind
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_held_lock_is_waited_for_only_so_long_and_only_while_it_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    asked: list[int] = []

    def give_up() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise InterruptedError("no longer wanted")

    with locked(path, timeout=5):
        with pytest.raises(LockTimeoutError, match="lock"), locked(path, timeout=0.01):
            pass
        with pytest.raises(InterruptedError), locked(path, timeout=60, give_up=give_up):
            pass
    with locked(path, timeout=0):
        assert len(asked) == 3


def test_an_error_in_the_block_frees_the_lock_and_leaves_nothing_open(tmp_path: Path) -> None:
    before = len(names(Path("/proc/self/fd")))
    with pytest.raises(KeyError), locked(tmp_path / "lock", timeout=5):
        raise KeyError
    assert not is_locked(tmp_path / "lock")
    assert len(names(Path("/proc/self/fd"))) == before


def test_the_lock_of_one_that_was_killed_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom runtimes.files import locked\n"
        "with locked(Path(sys.argv[1]), timeout=5): time.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        wait_for(lambda: is_locked(path))
    finally:
        holder.kill()
        holder.wait()
    with locked(path, timeout=0):
        assert is_locked(path)
