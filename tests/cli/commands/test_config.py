"""`celeriac config`: values in the form in which they are written, on any screen."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from celeriac.settings import Settings, variable
from cli.main import celeriac


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in fields(Settings):
        if field.name != "sources":
            monkeypatch.delenv(variable(field.name), raising=False)
    monkeypatch.delenv("CELERIAC_CONFIG", raising=False)
    monkeypatch.setenv("CELERIAC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def shown() -> dict[str, tuple[str, str]]:
    """Value and origin by variable, as the screen has them."""
    result = CliRunner().invoke(celeriac, ["config"])
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    value, origin = head.index("VALUE"), head.index("FROM")
    return {row[:value].strip(): (row[value:origin].strip(), row[origin:].strip()) for row in rows}


def test_every_setting_has_a_value_that_people_understand() -> None:
    values = {name: value for name, (value, _) in shown().items()}
    assert set(values) == {variable(field.name) for field in fields(Settings) if field.name != "sources"}
    assert not {"", "None", "()", "{}"} & set(values.values())
    assert (values["CELERIAC_SYNC_WINDOWS"], values["CELERIAC_LABELS"]) == ("none", "none")
    assert values["REDIS_URL"] == "a Redis of Celeriac's own"


@pytest.mark.parametrize(
    ("name", "written", "told"),
    [
        ("CELERIAC_LEASE", "15000", "15s"),
        ("CELERIAC_SWEEP_INTERVAL", "2s", "2s"),
        ("CELERIAC_OBSERVE_INTERVAL", "1500ms", "1.5s"),
        ("CELERIAC_REMOVAL_GRACE", "90m", "1h 30m"),
        ("CELERIAC_MAX_REMOVALS", "0", "0"),
        ("CELERIAC_LABELS", "role=web, zone=a", "role=web,zone=a"),
        ("CELERIAC_SYNC_WINDOWS", "allow 0 22 * * 1-5 for 8h", "allow 0 22 * * 1-5 for 8h"),
    ],
)
def test_a_value_is_told_with_its_unit_and_where_it_came_from(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str, told: str
) -> None:
    monkeypatch.setenv(name, written)
    value, origin = shown()[name]
    assert value.startswith(told)
    assert origin == name


def test_a_value_from_a_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "celeriac.toml").write_text('branch = "trunk"\n')
    assert shown()["CELERIAC_BRANCH"] == ("trunk", str(tmp_path / "celeriac.toml"))


def test_what_would_steer_a_terminal_does_not_and_json_has_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_RUNTIME", "mine\x1b[2J:Runtime")
    assert shown()["CELERIAC_RUNTIME"][0] == "mine:Runtime"
    rows = {row["variable"]: row for row in json.loads(CliRunner().invoke(celeriac, ["config", "--json"]).stdout)}
    assert rows["CELERIAC_RUNTIME"]["value"] == "mine\x1b[2J:Runtime"
    assert rows["CELERIAC_LEASE"] == {
        "setting": "lease", "variable": "CELERIAC_LEASE", "value": 15.0, "source": "default",
    }  # fmt: skip
