"""The environment file against what a process has, and `config_change` in a real host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hosting import _CASE, Case, RunningHost, request
from hypothesis import given
from hypothesis import strategies as st

from runtimes.host.environ import at_start_only, difference
from runtimes.host_client import HostRefused

ENVS = st.dictionaries(st.sampled_from("ABCDE"), st.text(max_size=2))
LOOK = "import os\ntold = []\ndef look(): return [told, {n: os.environ.get(n) for n in ('A', 'B', 'C')}]\n"
WEB_HOOK = "\ndef config_change(changed, new, removed):\n    import case.look\n"


@given(ENVS, ENVS)
def test_a_difference_makes_one_environment_of_the_other(old: dict[str, str], new: dict[str, str]) -> None:
    change = difference(old, new)
    made = {
        **{name: value for name, value in old.items() if name not in change.removed},
        **change.changed,
        **change.new,
    }
    assert made == new
    assert bool(change) == (old != new)
    assert change.changed.keys() <= old.keys()
    assert not change.new.keys() & old.keys()


def test_what_a_process_heeds_at_its_start_alone_is_known() -> None:
    names = ["PORT", "PATH", "GREETING", "PYTHONPATH", "LC_ALL", "https_proxy", "TZ", "REDIS_URL", "PATHS"]
    assert at_start_only(names) == ["LC_ALL", "PATH", "PORT", "PYTHONPATH", "TZ", "https_proxy"]


def test_a_value_is_never_shown() -> None:
    assert "hunter2" not in repr(difference({"A": "hunter2"}, {"A": "hunter22", "B": "hunter2"}))


def web(case: Case, hook: str) -> dict[str, str]:
    return {"look": LOOK, "web.py": _CASE + hook}


def reconfigure(host: RunningHost, env: dict[str, str], **more: Any) -> Any:
    (host.folder / "env").write_text(json.dumps(env))
    return host.ask("reconfigure", digest="new", **more)


def test_the_hook_is_told_what_changed_and_the_process_sees_it(case: Case) -> None:
    hook = WEB_HOOK + "    case.look.told.append([changed, new, removed])\n"
    host = case.start(web(case, hook), env={"A": "1", "B": "2"})
    done = reconfigure(host, {"A": "9", "C": "3"})
    assert (done["changed"], done["new"], done["removed"]) == (["A"], ["C"], ["B"])
    assert host.get() == [[[{"A": "9"}, {"C": "3"}, ["B"]]], {"A": "9", "B": None, "C": "3"}]
    assert host.ask("status")["digest"] == "new"


def test_a_callable_that_the_hook_made_anew_is_served(case: Case) -> None:
    hook = """
def config_change(changed, new, removed):
    global app
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": int(changed["A"]), "headers": []})
        await send({"type": "http.response.body"})
"""
    host = case.start(web(case, hook), env={"A": "1"})
    reconfigure(host, {"A": "418"})
    assert request(host.port)[0] == 418


def test_a_hook_that_raises_leaves_the_environment_as_it_was_and_no_value_in_what_is_said(case: Case) -> None:
    host = case.start(web(case, WEB_HOOK + "    raise ValueError(f'bad {changed}')\n"), env={"A": "first-secret"})
    with pytest.raises(HostRefused, match="ValueError: bad") as refused:
        reconfigure(host, {"A": "second-secret"})
    assert "secret" not in str(refused.value)
    assert host.get()[1]["A"] == "first-secret"
    assert host.ask("status")["digest"] == "1.0"


def test_without_a_hook_nothing_is_done(case: Case) -> None:
    host = case.start({"look": LOOK}, env={"A": "1"})
    with pytest.raises(HostRefused) as refused:
        reconfigure(host, {"A": "2"})
    assert refused.value.reason == "NoHook"
    assert host.get()[1]["A"] == "1"


def test_a_variable_that_is_heeded_at_the_start_alone_is_refused(case: Case) -> None:
    host = case.start(web(case, WEB_HOOK + "    pass\n"), env={"A": "1"})
    with pytest.raises(HostRefused, match="PYTHONHASHSEED") as refused:
        reconfigure(host, {"A": "2", "PYTHONHASHSEED": "0"})
    assert refused.value.reason == "StartOnly"
    assert host.get()[1]["A"] == "1"


def test_a_signal_is_sent_where_there_is_no_hook(case: Case) -> None:
    look = LOOK + "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: told.append(os.environ['A']))\n"
    host = case.start({"look": look}, env={"A": "1"})
    reconfigure(host, {"A": "2"}, signal_name="SIGUSR1")
    assert host.get()[0] == ["2"]


def test_new_code_and_a_new_environment_come_together(case: Case) -> None:
    hook = WEB_HOOK + "    case.look.told.append([changed, new, removed])\n"
    host = case.start(web(case, hook), env={"A": "1"})
    (host.folder / "env").write_text(json.dumps({"A": "2"}))
    case.upgrade(host, {**web(case, hook), "look": LOOK + "AT_IMPORT = os.environ['A']\ntold.append(AT_IMPORT)\n"})
    assert host.get()[0] == ["2", [{"A": "2"}, {}, []]]
    (host.folder / "env").write_text(json.dumps({"A": "3"}))
    with pytest.raises(HostRefused) as refused:
        case.upgrade(host, {**web(case, "")}, "3.0")
    assert refused.value.reason == "NoHook"
    assert host.get()[1]["A"] == "2"
    assert Path(host.ask("status")["release"]).name == "2.0"
