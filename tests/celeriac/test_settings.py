"""Settings: which value wins, what is refused and how it is told, and that no secret is shown."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from celeriac.errors import MisuseError, SettingsError
from celeriac.settings import Settings, is_ref_name, load, socket_path_fits, variable, without_password


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_nothing_set_gives_the_documented_defaults(tmp_path: Path, home: Path) -> None:
    settings = load({"CELERIAC_HOME": str(home)}, tmp_path)
    assert (settings.branch, settings.apps_dir, settings.interval) == ("main", "apps", 60.0)
    assert (settings.runtime, settings.keep_releases, settings.redis_url) == ("process", 3, "")
    assert settings.node
    assert settings.sources["home"] == "CELERIAC_HOME"
    assert {name for name, origin in settings.sources.items() if origin == "default"} >= {"branch", "node"}


def test_home_without_a_setting_is_in_the_users_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert load({}, tmp_path).home.name == "celeriac"


def test_environment_wins_over_the_file_which_wins_over_what_was_remembered(tmp_path: Path, home: Path) -> None:
    home.mkdir()
    (tmp_path / "celeriac.toml").write_text("branch = 'file'\napps_dir = 'file'\n")
    (home / "celeriac.toml").write_text("branch = 'kept'\napps_dir = 'kept'\nrepo_url = '/kept'\nhome = '/elsewhere'\n")
    settings = load({"CELERIAC_HOME": str(home), "CELERIAC_BRANCH": "env"}, tmp_path)
    assert (settings.branch, settings.apps_dir, settings.repo_url) == ("env", "file", "/kept")
    assert settings.home == home
    assert settings.sources["branch"] == "CELERIAC_BRANCH"
    assert settings.sources["apps_dir"] == str(tmp_path / "celeriac.toml")
    assert settings.sources["repo_url"] == str(home / "celeriac.toml")


def test_the_file_that_the_environment_names_is_read_instead(tmp_path: Path, home: Path) -> None:
    (tmp_path / "celeriac.toml").write_text("branch = 'here'\n")
    other = tmp_path / "other.toml"
    other.write_text(f"branch = 'there'\nhome = '{home}'\n[labels]\nrole = 'web'\n")
    settings = load({"CELERIAC_CONFIG": str(other)}, tmp_path)
    assert (settings.branch, settings.home, settings.labels) == ("there", home, {"role": "web"})


def test_a_file_that_is_named_but_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nosuch\.toml: no such file"):
        load({"CELERIAC_CONFIG": str(tmp_path / "nosuch.toml")}, tmp_path)


def test_an_empty_variable_counts_as_unset(tmp_path: Path, home: Path) -> None:
    settings = load({"CELERIAC_HOME": str(home), "CELERIAC_BRANCH": "", "REDIS_URL": ""}, tmp_path)
    assert settings.branch == "main"
    assert settings.sources["branch"] == "default"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("branch = ", "celeriac.toml"),
        ("branhc = 'x'", "unknown setting 'branhc'"),
        ("branch = ['a']", "branch: must be text"),
        ("repo_url = 5", "repo_url: must be text"),
        ("interval = [1]", "interval: must be a duration"),
        ("interval = 60", "interval: must be at least 1s"),
        ("cgroups = 'always'", "cgroups: must be auto or off, not 'always'"),
        ("keep_releases = true", "keep_releases: must be a whole number"),
        ("labels = 'role'", "labels: must read like"),
        ("home = 1", "home: must be text"),
    ],
)
def test_a_wrong_file_is_told_with_its_name_and_key(tmp_path: Path, home: Path, text: str, told: str) -> None:
    (tmp_path / "celeriac.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load({"CELERIAC_HOME": str(home)} if "home" not in text else {}, tmp_path)
    assert told in caught.value.message
    assert str(tmp_path / "celeriac.toml") in caught.value.message


def test_a_file_that_is_not_text_is_told(tmp_path: Path, home: Path) -> None:
    (tmp_path / "celeriac.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"celeriac\.toml"):
        load({"CELERIAC_HOME": str(home)}, tmp_path)


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path, home: Path) -> None:
    (tmp_path / "celeriac.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load({"CELERIAC_HOME": str(home)}, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELERIAC_INTERVAL", "60"),
        ("CELERIAC_INTERVAL", "soon"),
        ("CELERIAC_BRANCH", "-x"),
        ("CELERIAC_BRANCH", "a..b"),
        ("CELERIAC_BRANCH", "x.lock"),
        ("CELERIAC_APPS_DIR", "../etc"),
        ("CELERIAC_APPS_DIR", "/"),
        ("CELERIAC_APPS_DIR", "a//b"),
        ("CELERIAC_APPS_DIR", "a\nb"),
        ("CELERIAC_NODE", "a b"),
        ("CELERIAC_NODE", "../x"),
        ("CELERIAC_NODE", "n" * 64),
        ("CELERIAC_LABELS", "role"),
        ("CELERIAC_LABELS", "=web"),
        ("CELERIAC_KEEP_RELEASES", "0"),
        ("CELERIAC_KEEP_RELEASES", "three"),
        ("CELERIAC_MAX_REMOVALS", "-1"),
        ("CELERIAC_FLOWER_PORT", "65536"),
        ("CELERIAC_KEY_PREFIX", "{x}"),
        ("CELERIAC_HOME", "~no-such-user-here/x"),
    ],
)
def test_a_wrong_variable_is_misuse_told_with_its_name(tmp_path: Path, home: Path, name: str, value: str) -> None:
    with pytest.raises(MisuseError) as caught:
        load({"CELERIAC_HOME": str(home), name: value}, tmp_path)
    assert caught.value.message.startswith(f"{name}: ")
    assert caught.value.reason == "BadSetting"


def test_values_are_typed(tmp_path: Path, home: Path) -> None:
    settings = load(
        {
            "CELERIAC_HOME": str(home),
            "CELERIAC_INTERVAL": "2m",
            "CELERIAC_APPS_DIR": "/deploy/apps/",
            "CELERIAC_LABELS": "role=web, zone = a=1,",
            "CELERIAC_MAX_REMOVALS": "0",
            "CELERIAC_FLOWER_PORT": "0",
            "CELERIAC_REMOVAL_GRACE": "1h",
        },
        tmp_path,
    )
    assert settings.interval == 120
    assert settings.apps_dir == "deploy/apps"
    assert settings.labels == {"role": "web", "zone": "a=1"}
    assert (settings.max_removals, settings.flower_port, settings.removal_grace) == (0, 0, 3600)


def test_a_node_without_a_name_is_named_after_the_machine(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host, node in {"web_1.example": "web_1.example", "bad host!": "bad-host", "---": "node"}.items():
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        assert load({"CELERIAC_HOME": str(home)}, tmp_path).node == node


def test_relative_and_tilde_homes_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert load({"CELERIAC_HOME": "state"}, tmp_path).home == tmp_path / "state"
    assert load({"CELERIAC_HOME": "~/state"}, tmp_path).home == tmp_path / "me/state"


def test_every_setting_but_sources_has_a_variable() -> None:
    names = {field.name for field in fields(Settings)} - {"sources"}
    assert {variable(name) for name in names} >= {"CELERIAC_REPO_URL", "REDIS_URL", "SENTRY_DSN"}


def test_a_missing_repository_is_told_with_the_remedy() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings().require_repo()
    assert "CELERIAC_REPO_URL" in caught.value.hint
    assert Settings(repo_url="/x").require_repo() == "/x"


def test_no_secret_is_in_the_text_form() -> None:
    secret = "hunter2"
    settings = Settings(
        repo_url=f"https://u:{secret}@h/x", redis_url=f"redis://:{secret}@h/0", sentry_dsn=f"https://{secret}@h/1"
    )
    assert secret not in repr(settings)
    assert secret not in str(settings)


@pytest.mark.parametrize(
    ("redis_url", "broker"),
    [
        ("redis://localhost:6379/3", "redis://localhost:6379/3"),
        ("rediss://:pw@host/0", "rediss://:pw@host/0"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock"),
        ("unix://:pw@/run/redis.sock?db=2", "redis+socket://:pw@/run/redis.sock?virtual_host=2"),
    ],
)
def test_celery_gets_the_redis_address_in_its_own_form(redis_url: str, broker: str) -> None:
    assert Settings(redis_url=redis_url).broker_url == broker


def test_the_embedded_redis_is_a_socket_below_home() -> None:
    settings = Settings(home=Path("/var/lib/my app"))
    assert settings.redis_socket == Path("/var/lib/my app/redis/redis.sock")
    assert settings.redis_address == "unix:///var/lib/my%20app/redis/redis.sock"
    assert settings.broker_url == "redis+socket:///var/lib/my%20app/redis/redis.sock"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org/x.git", "https://example.org/x.git"),
        ("https://u:pw@example.org/x.git", "https://***@example.org/x.git"),
        ("https://token@example.org/x", "https://***@example.org/x"),
        ("https://u:p@w@example.org:8443/x", "https://***@example.org:8443/x"),
        ("redis://:pw@localhost:6379/0", "redis://***@localhost:6379/0"),
        ("redis://h/0?password=pw&db=1", "redis://h/0?password=***&db=1"),
        ("https://h/x?private_token=pw", "https://h/x?private_token=***"),
        ("https://u:p/w@example.org/x", "https://***"),
        ("https://[::1", "https://***"),
        ("git@example.org:team/x.git", "git@example.org:team/x.git"),
        ("ssh://git@example.org/x", "ssh://***@example.org/x"),
        ("/srv/git/x@2.git", "/srv/git/x@2.git"),
        ("https://example.org/x@v1", "https://example.org/x@v1"),
        ("", ""),
    ],
)
def test_urls_are_shown_without_their_secrets(url: str, shown: str) -> None:
    assert without_password(url) == shown
    assert without_password(shown) == shown


@profile(deadline=None, max_examples=150)
@given(st.text(st.characters(codec="ascii", exclude_characters="@ "), min_size=6, max_size=20))
def test_no_password_survives_in_a_shown_url(password: str) -> None:
    secret = f"Q7{password}"
    shown = without_password(f"https://user:{secret}@example.org/repo.git")
    assert secret not in shown
    assert "Q7" not in shown


def test_branch_names_follow_gits_rules() -> None:
    assert all(map(is_ref_name, ["main", "release/1.0", "ü", "feature@2", "+x"]))
    assert not any(map(is_ref_name, ["", "@", "-x", "a b", "a\n", "a..b", "a//b", "/a", "a/", "a.", "a.lock", "a@{0}"]))


def test_long_paths_do_not_fit_a_socket() -> None:
    assert socket_path_fits(Path("/" + "x" * 99))
    assert not socket_path_fits(Path("/" + "x" * 100))
    assert not socket_path_fits(Path("/" + "ü" * 50))
