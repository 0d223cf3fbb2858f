"""What hooks print, on disk. With real hooks: tests/reconciler/test_hooks.py."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from reconciler.hooklog import HookLog, log_path, secrets_in
from runtimes.logs import tail


def lines(home: Path) -> list[str]:
    return log_path(home, "web").read_text().splitlines()


def test_what_is_written_is_found_among_the_logs_of_the_app_and_is_for_its_owner_only(tmp_path: Path) -> None:
    log = HookLog(tmp_path, "web")
    log.begin("pre_deploy 1.0")
    log.line("migrated \ud800 é")
    assert [(line.process, line.text) for line in tail(tmp_path, "web", 9)] == [
        ("hook", "--- pre_deploy 1.0 ---"), ("hook", "migrated ? é"),
    ]  # fmt: skip
    assert log_path(tmp_path, "web").stat().st_mode & 0o777 == 0o600
    assert log_path(tmp_path, "web").parent.stat().st_mode & 0o777 == 0o700


def test_lines_of_several_threads_and_hooks_are_whole_and_none_is_lost(tmp_path: Path) -> None:
    logs = [HookLog(tmp_path, "web") for _ in range(2)]
    logs[0].begin("together")

    def work(number: int) -> None:
        for _ in range(100):
            logs[number % 2].line(str(number) * 3000)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = lines(tmp_path)[1:]
    assert {line: found.count(line) for line in set(found)} == {str(number) * 3000: 100 for number in range(4)}


def test_a_log_goes_on_where_it_ended_until_it_has_grown_long(tmp_path: Path) -> None:
    for title in ("one", "two"):
        HookLog(tmp_path, "web").begin(title)
    assert lines(tmp_path) == ["--- one ---", "--- two ---"]
    with log_path(tmp_path, "web").open("ab") as file:
        file.truncate(10_000_001)
    HookLog(tmp_path, "web").begin("three")
    assert lines(tmp_path) == ["--- three ---"]
    assert log_path(tmp_path, "web").with_suffix(".log.1").stat().st_size == 10_000_001


def test_a_link_in_the_place_of_the_log_is_not_followed_and_ends_no_hook(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "target").write_text("theirs\n")
    log_path(tmp_path, "web").symlink_to(tmp_path / "target")
    log = HookLog(tmp_path, "web")
    log.begin("pre_deploy")
    log.line("lost")
    assert (tmp_path / "target").read_text() == "theirs\n"


def test_where_no_folder_can_be_the_lines_are_lost_and_the_hook_goes_on(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder")
    HookLog(tmp_path, "web").begin("pre_deploy")


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("DATABASE_URL", "postgres://joe:hunter22@db/x", "hunter22"),
        ("ANY", "https://h/x?sig=abcdefgh", "abcdefgh"),
        ("API_KEY", "abcdef", "abcdef"),
        ("Sentry_Dsn", "not-a-url", "not-a-url"),
        ("TOKENS", '["aaaaaa"]', '["aaaaaa"]'),
        ("PRIVATE_KEY", "begin-of-it\r\n  indented-part\r\n", "indented-part"),
    ],
)
def test_what_is_secret_by_its_place_or_its_name_is_not_seen(name: str, value: str, secret: str) -> None:
    log = HookLog(Path("nowhere"), "web", secrets_in({name: value, "HOST": "db-host"}))
    masked = log.masked(f"before {secret} after db-host")
    assert secret not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after db-host")


@pytest.mark.parametrize(
    ("name", "value"), [("API_KEY", "short"), ("COLOUR", "blue-green"), ("PASSENGERS", "many-people"), ("KEY", "")]
)
def test_what_is_ordinary_text_stays_as_it_is(name: str, value: str) -> None:
    log = HookLog(Path("nowhere"), "web", secrets_in({name: value}))
    assert log.masked(f"it says {value}.") == f"it says {value}."


def test_of_two_secrets_the_longer_one_is_masked_first() -> None:
    secrets = secrets_in({"A_TOKEN": "abcdef", "B_TOKEN": "abcdefghi"})
    assert secrets == ("abcdefghi", "abcdef")
    assert HookLog(Path("nowhere"), "web", secrets).masked("abcdefghi abcdef") == "*** ***"
