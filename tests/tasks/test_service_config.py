"""What `celeriac up` runs, as values."""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from celeriac.errors import SettingsError
from celeriac.settings import Settings, load
from tasks.service_config import LAUNCHER, Places, Program, environment, fingerprint, programs, supervisor_conf

TEMPORARY = Path("/tmp")
HOME = Path("/srv/celeriac")


def settings(**given: object) -> Settings:
    return replace(Settings(home=HOME, node="web-1"), **given)  # type: ignore[arg-type]


def by_name(found: tuple[Program, ...]) -> dict[str, Program]:
    return {program.name: program for program in found}


def test_services_are_the_plain_celery_processes_of_production() -> None:
    found = by_name(programs(settings(concurrency=3), redis_argv=["valkey-server", "x"], flower_port=5556))
    assert list(found) == ["redis", "worker", "beat", "flower"]
    assert found["worker"].argv[:6] == (sys.executable, "-m", "celery", "-A", "tasks", "worker")
    assert {"--queues=ctl,node.web-1", "--hostname=web-1@%h", "--concurrency=3", "--events"} <= set(
        found["worker"].argv
    )
    assert found["worker"].environment == {"REMAP_SIGTERM": "SIGQUIT"}
    assert "--address=127.0.0.1" in found["flower"].argv
    assert "--port=5556" in found["flower"].argv


def test_no_redis_of_our_own_where_one_is_given() -> None:
    assert "redis" not in by_name(programs(settings(redis_url="redis://db"), flower_port=1))


def test_services_read_back_exactly_the_settings_they_were_given(tmp_path: Path) -> None:
    wanted = Settings(
        repo_url="https://me:secret@example.com/a.git",
        branch="prod",
        apps_dir="deploy/apps",
        home=tmp_path / "home",
        interval=12.5,
        node="web-1",
        labels={"role": "web", "zone": "a"},
        max_removals=0,
        removal_grace=0.0,
        redis_url="redis://:secret@db/1",
        flower_port=0,
    )
    places = Places.of(wanted.home, TEMPORARY)
    places.folder.mkdir(parents=True)
    places.settings.write_text("")
    noise = {"PATH": "/bin", "CELERIAC_BRANCH": "other", "CELERIAC_LOG_FORMAT": "json", "SENTRY_DSN": "https://x@y/1"}
    (tmp_path / "celeriac.toml").write_text("max_removals = 7\n")
    made = environment(wanted, noise, places)
    assert replace(load(made, folder=tmp_path), sources={}) == wanted
    assert made["PATH"] == "/bin"


def test_label_that_an_environment_variable_cannot_say_is_refused() -> None:
    with pytest.raises(SettingsError, match="comma"):
        environment(settings(labels={"role": "a,b"}), {}, Places.of(HOME, TEMPORARY))


def test_configuration_holds_no_secret() -> None:
    secret = settings(
        repo_url="https://me:hunter2@h/a.git", redis_url="redis://:hunter2@db", sentry_dsn="https://hunter2@s/1"
    )
    assert "hunter2" not in supervisor_conf(Places.of(HOME, TEMPORARY), programs(secret, flower_port=1))


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet=st.sampled_from("ab %'\"\\$(){}s-="), min_size=1), min_size=1, max_size=4))
def test_every_argument_reaches_the_program_as_it_is(argv: list[str]) -> None:
    text = supervisor_conf(Places.of(HOME, TEMPORARY), [Program("x", tuple(argv))])
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(text)
    command = parser.get("program:x", "command").replace("%%", "%")
    assert shlex.split(command)[-len(argv) :] == argv


@pytest.mark.parametrize("bad", ["a\nautostart=true", "a ;b", "a #b", "\x7f"])
def test_argument_that_would_change_the_configuration_is_refused(bad: str) -> None:
    with pytest.raises(SettingsError):
        supervisor_conf(Places.of(HOME, TEMPORARY), [Program("x", ("program", bad))])


def test_socket_moves_when_the_home_folder_is_too_deep_for_one() -> None:
    assert Places.of(HOME, TEMPORARY).socket == HOME / "services" / "supervisor.sock"
    deep = Places.of(Path("/" + "d" * 90), TEMPORARY)
    assert deep.socket.is_relative_to(TEMPORARY)
    assert deep.socket != Places.of(Path("/" + "e" * 90), TEMPORARY).socket


def test_fingerprint_changes_with_a_setting_and_not_with_the_rest_of_the_environment() -> None:
    places = Places.of(HOME, TEMPORARY)

    def of(one: Settings, **noise: str) -> str:
        return fingerprint(programs(one, flower_port=1), environment(one, noise, places))

    assert of(settings(), TERM="xterm") == of(settings(), TERM="dumb")
    assert of(settings()) != of(settings(repo_url="https://h/a.git"))
    assert of(settings()) != of(settings(redis_url="redis://:other@db"))


@pytest.mark.parametrize(
    ("pid", "starts"),
    [(str(os.getpid()), True), ("1", False), ("", True), (None, True)],
    ids=["its own", "another", "an empty file", "no file"],
)
def test_a_service_starts_unless_its_supervisor_is_known_to_be_another(
    tmp_path: Path, pid: str | None, starts: bool
) -> None:
    if pid is not None:
        (tmp_path / "pid").write_text(pid)
    (tmp_path / "launch.py").write_text(LAUNCHER)
    launcher = [sys.executable, "-I", "-S", str(tmp_path / "launch.py"), str(tmp_path / "pid")]
    done = subprocess.run([*launcher, "echo", "on"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (("on\n", 0) if starts else ("", 1))
