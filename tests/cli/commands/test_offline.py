"""The commands that need nothing to run: init, validate, schema, config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import celeriac


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERIAC_REPO_URL", "CELERIAC_APPS_DIR", "CELERIAC_CONFIG", "REDIS_URL", "SENTRY_DSN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CELERIAC_HOME", str(tmp_path / "home"))


def test_what_init_writes_is_valid(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(celeriac, ["init", str(tmp_path / "gitops")]).exit_code == 0
    result = runner.invoke(celeriac, ["validate", str(tmp_path / "gitops")])
    assert (result.exit_code, result.stdout) == (0, "2 apps, all valid\n")


def test_init_says_what_to_do_next(tmp_path: Path) -> None:
    result = CliRunner().invoke(celeriac, ["init", str(tmp_path / "gitops")])
    assert "git init -b main" in result.stdout
    assert 'celeriac up --repo "$PWD"' in result.stdout


def test_init_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("work")
    result = CliRunner().invoke(celeriac, ["init", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not empty" in result.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]


def test_init_takes_a_repository_that_was_only_just_made(tmp_path: Path) -> None:
    (tmp_path / "new" / ".git").mkdir(parents=True)
    result = CliRunner().invoke(celeriac, ["init", str(tmp_path / "new")])
    assert result.exit_code == 0
    assert "git init" not in result.stdout


def test_validate_prints_each_problem_on_a_line_and_counts_them(tmp_path: Path) -> None:
    app = tmp_path / "apps" / "web" / "app.yaml"
    app.parent.mkdir(parents=True)
    app.write_text("name: web\nversion: '1.0'\nhealth:\n  prot: 80\n  path: 7\n")
    result = CliRunner().invoke(celeriac, ["validate", str(tmp_path)])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines
    assert all(line.startswith("apps/web/app.yaml:") for line in lines)
    assert any("health.prot" in line and "port" in line for line in lines)
    assert result.stderr == f"{len(lines)} problem{'s' * (len(lines) > 1)} in 1 app\n"


def test_validate_as_json_tells_where_each_problem_is(tmp_path: Path) -> None:
    app = tmp_path / "apps" / "web" / "app.yaml"
    app.parent.mkdir(parents=True)
    app.write_text("name: web\nversion: '1.0'\nnmae: x\n")
    result = CliRunner().invoke(celeriac, ["validate", str(tmp_path), "--json"])
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["valid"] is False
    assert [entry["name"] for entry in document["apps"]] == ["web"]
    (problem,) = document["problems"]
    assert (problem["path"], problem["line"], problem["field"]) == ("apps/web/app.yaml", 3, "nmae")


def test_validate_of_a_folder_that_is_not_there_is_misuse(tmp_path: Path) -> None:
    assert CliRunner().invoke(celeriac, ["validate", str(tmp_path / "nowhere")]).exit_code == 2


def test_schema_is_the_json_schema_of_a_spec() -> None:
    result = CliRunner().invoke(celeriac, ["schema"])
    document = json.loads(result.stdout)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"name", "version"} <= set(document["required"])


def test_config_tells_each_value_and_where_it_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_INTERVAL", "90s")
    rows = json.loads(CliRunner().invoke(celeriac, ["config", "--json"]).stdout)
    by_name = {row["setting"]: row for row in rows}
    assert (by_name["interval"]["value"], by_name["interval"]["source"]) == (90, "CELERIAC_INTERVAL")
    assert by_name["branch"] == {
        "setting": "branch",
        "variable": "CELERIAC_BRANCH",
        "value": "main",
        "source": "default",
    }
    screen = CliRunner().invoke(celeriac, ["config"]).stdout
    assert "1m 30s" in screen
    assert "CELERIAC_INTERVAL" in screen


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_config_shows_no_password(form: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@localhost:6379/0")
    monkeypatch.setenv("CELERIAC_REPO_URL", "https://me:hunter2@example.com/apps.git")
    monkeypatch.setenv("SENTRY_DSN", "https://hunter2@example.com/1")
    result = CliRunner().invoke(celeriac, ["config", *form])
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert "example.com/apps.git" in result.output


def test_up_without_a_repository_is_misuse_and_says_how() -> None:
    result = CliRunner().invoke(celeriac, ["up"])
    assert result.exit_code == 2
    assert "celeriac up --repo URL" in result.stderr
