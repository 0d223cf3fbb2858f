"""What `celeriac doctor` finds on a machine."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from celeriac.errors import CeleriacError, SettingsError
from celeriac.settings import Settings
from cli import machine_checks, service_checks
from cli.check import guarded, ok
from cli.checkup import checkup
from runtimes import cgroups
from runtimes.cgroups import groups_of
from runtimes.limits import place


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", node="here")


def test_this_machine_has_what_is_needed(settings: Settings) -> None:
    for look in (machine_checks.python_version, machine_checks.git, machine_checks.uv, machine_checks.home):
        check = look(settings)
        assert (check.result, check.advice) == ("ok", ""), check


def test_missing_git_is_said_with_what_to_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    check = machine_checks.git(settings)
    assert (check.result, check.detail) == ("fail", "is not installed")
    assert check.advice


def test_home_that_others_can_write_is_a_warning(settings: Settings) -> None:
    settings.home.mkdir()
    settings.home.chmod(0o777)
    check = machine_checks.home(settings)
    assert check.result == "warn"
    assert "chmod go-w" in check.advice


def test_home_that_is_a_file_fails_with_one_line(settings: Settings) -> None:
    settings.home.write_text("")
    check = guarded("home", lambda: machine_checks.home(settings))
    assert check.result == "fail"
    assert str(settings.home) in check.detail


def test_home_too_deep_for_sockets_is_a_warning(settings: Settings) -> None:
    assert machine_checks.sockets(replace(settings, home=Path("/srv"))).result == "ok"
    assert machine_checks.sockets(replace(settings, home=Path("/" + "d" * 90))).result == "warn"


def test_what_holds_apps_to_their_limits_is_told(settings: Settings) -> None:
    check = machine_checks.limits(settings)
    assert check.result == "ok"
    assert re.match(r"memory by (cgroup v[12]|rlimit), cpus by (cgroup v[12]|affinity)", check.detail)
    places = [place(controller, groups_of()) for controller in ("memory", "cpu")]
    assert all(one.why in check.detail for one in places)
    off = machine_checks.limits(replace(settings, cgroups="off"))
    assert off.detail.startswith("memory by rlimit")


def test_limits_are_looked_at_from_where_the_apps_are(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    monkeypatch.setattr(cgroups, "groups_of", lambda pid="self": looked.append(pid) or [])
    (settings.home / "supervisor").mkdir(parents=True)
    (settings.home / "supervisor" / "supervisord.pid").write_text("4711\n")
    assert machine_checks.limits(settings).detail == (
        "memory by rlimit, cpus by affinity (no control group has the memory controller; "
        "no control group has the cpu controller)"
    )
    assert looked == ["4711", "self"]


def test_repository_that_answers_is_ok_and_tells_its_revision(settings: Settings, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (
        ["init", "-q", "-b", "main", str(repo)],
        ["-C", str(repo), *who, "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *arguments], check=True, env=environment)
    check = machine_checks.repository(replace(settings, repo_url=str(repo)))
    assert check.result == "ok"
    assert "on main" in check.detail


def test_repository_that_does_not_answer_fails_without_telling_the_password(settings: Settings) -> None:
    url = "http://me:hunter2@127.0.0.1:9/apps.git"
    check = guarded("repository", lambda: machine_checks.repository(replace(settings, repo_url=url)))
    assert check.result == "fail"
    assert "hunter2" not in repr(check)


@pytest.mark.parametrize(("theirs", "result"), [(100.0, "ok"), (100.4, "ok"), (93.0, "warn"), (107.0, "warn")])
def test_clock_is_compared_with_what_the_question_took(theirs: float, result: str) -> None:
    assert service_checks.clock(theirs, 99.8, 100.2).result == result


def test_no_services_is_a_warning_not_a_failure(settings: Settings) -> None:
    check = service_checks.services(settings)
    assert check.result == "warn"
    assert "celeriac up" in check.advice


def test_bad_settings_are_the_one_line_there_is() -> None:
    def bad() -> NoReturn:
        raise SettingsError("CELERIAC_INTERVAL: soon is not a duration", hint="write 30s")

    (check,) = checkup(bad)
    assert (check.name, check.result, check.advice) == ("settings", "fail", "write 30s")


def test_a_check_that_breaks_is_a_line_of_its_own() -> None:
    def breaks() -> NoReturn:
        raise CeleriacError("it broke\nin two lines", hint="mend it")

    assert guarded("x", lambda: ok("x", "fine")).result == "ok"
    check = guarded("x", breaks)
    assert (check.result, check.detail, check.advice) == ("fail", "it broke in two lines", "mend it")


def test_a_runtime_that_cannot_be_imported_is_told_with_what_to_do(tmp_path: Path) -> None:
    found = machine_checks.runtime(Settings(home=tmp_path, runtime="nowhere.to_be:Found"))
    assert (found.name, found.result) == ("runtime", "fail")
    assert "nowhere.to_be" in found.detail
    assert "CELERIAC_RUNTIME" in found.advice
    assert machine_checks.runtime(Settings(home=tmp_path)).detail == "process (runtimes.process:ProcessRuntime)"
