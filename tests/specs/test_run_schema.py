"""The sections `run`, `limits` and `hooks`."""

import pytest
from marshmallow import ValidationError

from specs.model import Hooks, Limits, Run
from specs.run_schema import HooksSection, LimitsSection, RunSection


def refusal(section, **fields):
    with pytest.raises(ValidationError) as caught:
        section().load(fields)
    return caught.value.messages


def test_a_single_command_is_the_process_main():
    assert RunSection().load({"command": "a b"}) == Run({"main": ("a", "b")})
    assert RunSection().load({}) == Run()


def test_there_is_one_way_to_run_an_app():
    assert refusal(RunSection, command="a", app="m:f", processes={"x": "y"}) == {
        "app": ["cannot go together with command"],
        "processes": ["cannot go together with command"],
    }


@pytest.mark.parametrize("app", ["shop:app", "shop.web:make.app"])
def test_an_app_reads_like_module_and_callable(app):
    assert RunSection().load({"app": app}).app == app


@pytest.mark.parametrize("app", ["shop", "shop:", ":app", "shop.web:app()", "a b:c", "../a:b", "a:b:c"])
def test_other_apps_are_refused(app):
    assert refusal(RunSection, app=app) == {"app": ["must read like module:callable"]}


def test_processes_have_safe_names_and_commands():
    assert set(refusal(RunSection, processes={"Web": "x", "ok": "", "a\nb": "x"})["processes"]) == {"Web", "ok", "a\nb"}
    assert refusal(RunSection, processes={}) == {"processes": ["must not be empty"]}


@pytest.mark.parametrize("name", ["HUP", "SIGHUP"])
def test_a_signal_has_its_full_name_once_read(name):
    assert RunSection().load({"reload_signal": name}).reload_signal == "SIGHUP"


@pytest.mark.parametrize("name", ["KILL", "SIGSTOP", "hup", "1", "NOPE", ""])
def test_other_signals_are_refused(name):
    assert refusal(RunSection, reload_signal=name) == {
        "reload_signal": ["must be the name of a signal, such as HUP or USR1"]
    }


def test_limits_and_hooks_are_read():
    assert LimitsSection().load({"memory": "1GiB", "cpus": 1}) == Limits(2**30, 1.0)
    assert HooksSection().load({"pre_deploy": "a b"}) == Hooks(("a", "b"))
    assert set(refusal(LimitsSection, memory="much", cpus=0)) == {"memory", "cpus"}
    assert HooksSection().load({"timeout": "10m"}) == Hooks(timeout=600.0)
    assert refusal(HooksSection, timeout="1h") == {"timeout": ["must be at most 20m"]}


def test_a_process_is_not_named_like_the_log_of_hooks():
    assert "output of hooks" in str(refusal(RunSection, processes={"hook": "a", "web": "b"}))
