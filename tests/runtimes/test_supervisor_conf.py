"""The supervisor's files as text, read back as the supervisor itself reads them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervisor.options import ProcessConfig, ServerOptions, UnhosedConfigParser

from runtimes.supervisor_conf import (
    SupervisorConfigError,
    app_conf,
    check_home,
    daemon_conf,
    escape,
    front_conf,
    guests_conf,
    with_group,
)
from runtimes.supervisord import Supervisor

ODD = ["a b", "50%", "%(ENV_HOME)s", "$HOME", "it's", 'a"b', "a,b=c", "a;b", "a#b", "back\\slash", "wéb 🥬", "~", "-c"]


def read(text: str) -> dict[str, ProcessConfig]:
    """The processes of a file, by `group:process`."""
    parser = UnhosedConfigParser()
    options = ServerOptions()
    parser.expansions = options.environ_expansions
    parser.read_string(text)
    options.parser = parser
    return {
        f"{group.name}:{process.name}": process
        for group in options.process_groups_from_parser(parser)
        for process in group.process_configs
    }


@pytest.fixture(params=ODD)
def odd_home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    home = tmp_path / str(request.param)
    for folder in ("logs", "guests"):
        (home / folder).mkdir(parents=True)
    check_home(home)
    return home


def test_the_supervisor_reads_back_where_an_app_is_whatever_its_home_is_called(odd_home: Path) -> None:
    text = app_conf(odd_home, "web", ["main", "a.b-c_9"], launcher=["/p y", "-I"], home_id="ab", side="green")
    found = read(text)
    assert found.keys() == {"web@green:main", "web@green:a.b-c_9"}
    main = found["web@green:main"]
    assert shlex.split(main.command) == ["/p y", "-I", str(odd_home / "apps" / "web"), "main", "green"]
    assert main.stdout_logfile == str(odd_home / "logs" / "web@green.main.log")
    assert (main.environment["CELERIAC_SIDE"], main.environment["CELERIAC_APP"]) == ("green", "web")
    assert not main.autostart


def test_the_front_and_the_shared_host_are_read_back_whatever_the_home_is_called(odd_home: Path) -> None:
    command = ["/usr/bin/caddy", "run", "--config", str(odd_home / "front" / "caddy.json")]
    front = read(front_conf(odd_home, "@front", "caddy", command, home_id="ab"))["@front:caddy"]
    assert shlex.split(front.command) == command
    assert front.directory == str(odd_home)
    assert {front.environment[name] for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME")} == {str(odd_home / "front")}
    assert front.environment["CELERIAC_HOME_ID"] == "ab"
    guests = read(guests_conf(odd_home, "@guests", "host", command, home_id="ab"))["@guests:host"]
    assert (guests.directory, guests.environment["CELERIAC_PROCESS"]) == (str(odd_home / "guests"), "@guests")
    assert guests.stdout_logfile == str(odd_home / "logs" / "@guests.log")


def test_a_home_with_both_kinds_of_quotes_cannot_have_a_front_and_is_told_so() -> None:
    with pytest.raises(SupervisorConfigError, match="both kinds of quotes") as caught:
        front_conf(Path('/it\'s "mine"'), "@front", "caddy", ["caddy"], home_id="ab")
    assert "CELERIAC_HOME" in caught.value.hint


def test_a_real_supervisor_works_in_a_home_with_signs_that_mean_something_to_it(home: Path) -> None:
    odd = home / "50% it's %(ENV_HOME)s, a=b"
    supervisor = Supervisor(odd)
    try:
        supervisor.ensure_running()
        supervisor.put("web", ["main"])
        assert supervisor.group("web", ["main"]).keys() == {"main"}
    finally:
        supervisor.shutdown()


@settings(max_examples=60)
@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_a_value_is_read_back_as_it_is_or_refused(text: str) -> None:
    try:
        line = f"[program:x]\ncommand=/bin/true\nserverurl=x{escape(text)}x\n"
    except SupervisorConfigError:
        return
    parser = UnhosedConfigParser()
    parser.read_string(line)
    assert parser.saneget("program:x", "serverurl") == f"x{text}x"


@pytest.mark.parametrize("name", ["a\nb", "a\0b", "a ;b", "a #b", ";b", "a*", "a?", "[a]", "a\u2028b", "a\x85b"])
def test_a_home_that_the_supervisor_cannot_work_in_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(SupervisorConfigError, match="the home folder") as caught:
        check_home(Path("/srv") / (name if name[0] != ";" else f"x {name}"))
    assert caught.value.hint == "choose another CELERIAC_HOME"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a,b", "-a", ".a", "a\n", "a]", "a" * 64, "ä"])
def test_what_cannot_be_the_name_of_a_process_is_refused(name: str) -> None:
    with pytest.raises(SupervisorConfigError, match=r"^web: .* is not a name for a process"):
        app_conf(Path("/h"), "web", ["main", name], launcher=["l"], home_id="ab")


def test_an_app_without_processes_is_refused() -> None:
    with pytest.raises(SupervisorConfigError, match="no process to run"):
        app_conf(Path("/h"), "web", [], launcher=["l"], home_id="ab")


def test_the_file_of_an_app_depends_on_nothing_but_its_names() -> None:
    one, two = (
        app_conf(Path("/h"), "web", names, launcher=["l"], home_id="ab") for names in (["a", "b"], iter(["b", "a"]))
    )
    assert one == two


def test_of_two_groups_in_a_file_one_is_replaced_and_the_other_kept(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()

    def section(side: str, *names: str) -> str:
        return app_conf(tmp_path, "web", names, launcher=["l"], home_id="ab", side="green" if side else "blue")

    both = with_group(with_group("", "web", section("", "main")), "web@green", section("green", "main"))
    assert read(both).keys() == {"web:main", "web@green:main"}
    changed = with_group(both, "web", section("", "worker"))
    assert read(changed).keys() == {"web:worker", "web@green:main"}
    assert with_group(changed, "web", section("", "main")) == both


def test_a_group_whose_name_begins_like_another_is_told_apart() -> None:
    text = "[group:web-2]\nprograms=x\n\n[group:web@green]\nprograms=y\n"
    assert with_group(text, "web", "[group:web]\nprograms=z\n").count("[group:") == 3


def test_the_supervisors_own_file_is_for_its_owner_and_takes_the_files_beside_it(tmp_path: Path) -> None:
    parser = UnhosedConfigParser()
    parser.read_string(daemon_conf(tmp_path / "50% a", tmp_path / "s", user="", file_limit=77))
    assert parser.saneget("supervisord", "logfile") == str(tmp_path / "50% a" / "supervisor" / "supervisord.log")
    assert parser.saneget("supervisord", "minfds") == "77"
    assert not parser.has_option("supervisord", "user")
    assert parser.saneget("unix_http_server", "chmod") == "0700"
    assert parser.saneget("include", "files") == "conf.d/*.conf"
    parser.read_string(daemon_conf(tmp_path, tmp_path / "s", user="root", file_limit=77))
    assert parser.saneget("supervisord", "user") == "root"
