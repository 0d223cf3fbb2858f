"""`celeriac doctor`: its lines, its colours, its exit code."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner
from terminals import Terminal
from workbench import Workbench

from cli import checkup
from cli.main import celeriac


@pytest.fixture(autouse=True)
def _few_checks(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = {name: checkup.MACHINE_CHECKS[name] for name in ("python", "home", "sockets")}
    monkeypatch.setattr(checkup, "MACHINE_CHECKS", looks)


def test_what_fails_is_counted_and_each_line_that_is_not_ok_says_what_to_do(bench: Workbench) -> None:
    bench.engine.nodes.beat(bench.engine.nodes.all()["n1"])
    result = CliRunner().invoke(celeriac, ["doctor"])
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert [line[:4] for line in lines if not line.startswith(" ")].count("FAIL") == 0
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(("warn", "FAIL")):
            assert following.startswith("        ")


def test_a_failure_ends_with_1_and_json_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "unix:///nowhere/redis.sock")
    result = CliRunner().invoke(celeriac, ["doctor"])
    assert result.exit_code == 1
    assert "FAIL  redis: unix:///nowhere/redis.sock: " in result.stdout
    assert result.stderr.endswith("checks failed\n")
    result = CliRunner().invoke(celeriac, ["doctor", "--json"])
    document = json.loads(result.stdout)
    assert (result.exit_code, document["ok"], result.stderr) == (1, False, "")
    assert [check["name"] for check in document["checks"] if check["result"] == "fail"] == ["redis"]


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_for_terminals_and_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, no_color: str) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    with Terminal() as terminal:
        monkeypatch.setattr(sys, "stdout", terminal.stream)
        with pytest.raises(SystemExit):
            celeriac.main(["doctor"])
        told = terminal.text()
    assert "python: " in told
    assert ("\x1b[" in told) is not bool(no_color)
