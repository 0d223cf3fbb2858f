"""The supervisor's folder of files. With a real supervisor: tests/runtimes/test_supervisord.py."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runtimes.supervisor_files import ConfFolder, WantedApp, read_text
from runtimes.supervisor_rpc import CANNOT_REREAD, STILL_RUNNING, SupervisorError, SupervisorGoneError

WANTED = {"web": WantedApp(("main",), start=True), "shop": WantedApp(("main", "worker"), start=False, side="green")}


@pytest.fixture
def files(tmp_path: Path) -> ConfFolder:
    (tmp_path / "conf.d").mkdir()
    return ConfFolder(tmp_path, tmp_path / "conf.d", "ab", lambda: WANTED)


def names(files: ConfFolder) -> list[str]:
    return sorted(path.name for path in files.folder.iterdir())


def taken() -> None:
    """A supervisor that takes all it reads."""


def refusing(files: ConfFolder, word: str, seen: list[str], code: int = CANNOT_REREAD) -> Callable[[], None]:
    """A supervisor that takes no file with `word` in it, and reads all of them, as the real one does."""

    def reload() -> None:
        texts = [read_text(path) for path in sorted(files.folder.glob("*.conf"))]
        seen.append(" ".join(texts))
        if any(word in text for text in texts):
            raise SupervisorError("CANT_REREAD", code=code)

    return reload


def test_what_many_left_is_put_in_place_by_one_reload_and_is_read_before_it_is_gone(files: ConfFolder) -> None:
    waiting = [files.leave(app, f"[group:{app}]") for app in ("a", "b", "c")]
    seen: list[list[bool]] = []
    files.load("b", lambda: seen.append([path.exists() for path in waiting]))
    assert seen == [[True, True, True]]
    assert names(files) == ["a.conf", "b.conf", "c.conf"]
    assert [read_text(files.path(app)) for app in "abc"] == ["[group:a]", "[group:b]", "[group:c]"]
    assert files.path("a").stat().st_mode & 0o777 == 0o600


def test_somebody_elses_bad_file_waits_on_while_ones_own_is_taken(files: ConfFolder) -> None:
    files.leave("good", "[group:good]")
    files.leave("bad", "!!")
    seen: list[str] = []
    files.load("good", refusing(files, "!!", seen))
    assert len(seen) == 2
    assert names(files) == ["bad.conf.new", "good.conf", "shop.conf", "web.conf"]


def test_ones_own_bad_file_is_put_back_and_told(files: ConfFolder) -> None:
    files.write_all()
    before = read_text(files.path("web"))
    files.leave("web", "!!")
    with pytest.raises(SupervisorError, match="CANT_REREAD"):
        files.load("web", refusing(files, "!!", []))
    assert read_text(files.path("web")) == before
    files.leave("new", "!!")
    with pytest.raises(SupervisorError):
        files.load("new", refusing(files, "!!", []))
    assert not files.path("new").exists()


@pytest.mark.parametrize("error", [SupervisorGoneError("gone"), SupervisorError("no", code=STILL_RUNNING)])
def test_what_is_no_fault_of_a_file_puts_all_back_and_is_not_tried_again(
    files: ConfFolder, error: SupervisorError
) -> None:
    files.path("web").write_text("old")
    for app in ("new", "web"):
        files.leave(app, "new text")
    asked: list[int] = []

    def reload() -> None:
        asked.append(1)
        raise error

    with pytest.raises(type(error)):
        files.load("web", reload)
    assert asked == [1]
    assert names(files) == ["new.conf.new", "web.conf", "web.conf.new"]
    assert read_text(files.path("web")) == "old"


def test_one_that_is_killed_before_the_reload_leaves_what_the_next_one_loads(files: ConfFolder) -> None:
    files.leave("web", "[group:web]")

    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.load("web", killed)
    assert names(files) == ["web.conf", "web.conf.new"]
    files.load("web", taken)
    assert names(files) == ["web.conf"]


def test_the_folder_is_made_to_hold_what_is_applied_and_our_own_programs(files: ConfFolder) -> None:
    for name in ("old.conf", "@front.conf", "web.conf", "notes", "web.conf.1-2.tmp", "new.conf.new"):
        (files.folder / name).write_bytes(b"\xff")
    files.write_all()
    assert names(files) == ["@front.conf", "new.conf.new", "shop.conf", "web.conf"]
    assert files.says("web", files.beside("web", "web", files.text("web", ["main"])))
    assert "[group:shop@green]" in read_text(files.path("shop"))


def test_what_is_as_it_should_be_is_not_written_again(files: ConfFolder) -> None:
    files.write_all()
    before = {name: (files.folder / name).stat().st_ino for name in names(files)}
    files.write_all()
    assert {name: (files.folder / name).stat().st_ino for name in names(files)} == before


def test_who_leaves_a_file_while_all_are_written_is_not_disturbed(files: ConfFolder) -> None:
    faults: list[OSError] = []

    def leave() -> None:
        try:
            for number in range(400):
                files.leave("new", f"[group:new]\n; {number}")
        except OSError as error:
            faults.append(error)

    writer = threading.Thread(target=leave)
    writer.start()
    while writer.is_alive():
        files.write_all()
    writer.join()
    assert faults == []
    assert read_text(files.folder / "new.conf.new").endswith("; 399")


def test_a_file_and_one_that_waits_are_dropped_whether_they_are_there_or_not(files: ConfFolder) -> None:
    files.path("web").write_text("x")
    files.leave("web", "y")
    files.leave("web-2", "z")
    for _ in range(2):
        files.drop("web")
        assert names(files) == ["web-2.conf.new"]


def test_one_generation_is_put_beside_the_other_in_the_file_that_there_is(files: ConfFolder) -> None:
    files.path("web").write_text(files.beside("web", "web", files.text("web", ["main"])))
    both = files.beside("web", "web@green", files.text("web", ["main"], "green"))
    assert [line for line in both.splitlines() if line.startswith("[group:")] == ["[group:web@green]", "[group:web]"]


def test_what_is_absent_or_no_text_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    assert [read_text(tmp_path / name) for name in ("odd", "none", ".")] == ["", "", ""]
