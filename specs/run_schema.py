"""The sections that say how an app's processes are started and held: `run`, `limits` and `hooks`."""

from __future__ import annotations

import signal
from typing import Any

from marshmallow import post_load, validates_schema

from specs.collection_fields import MapOf
from specs.command_field import Command
from specs.fields import MODULE_AND_OBJECT, Amount, Duration, Errors, Size, Text
from specs.model import HOOK_LOG, Hooks, Limits, Run
from specs.names import NAME, NAME_WANTED
from specs.section import Section, raise_all

_NOT_RELOADING = {"SIGKILL", "SIGSTOP"}  # no process can catch these
_SIGNALS = tuple(sorted({s.name for s in signal.valid_signals() if isinstance(s, signal.Signals)} - _NOT_RELOADING))


class RunSection(Section):
    """`run`."""

    rules = (
        {"not": {"required": ["command", "processes"]}},
        {"not": {"required": ["command", "app"]}},
        {"not": {"required": ["processes", "app"]}},
    )
    command = Command("the program to run: a list of words or one line; no shell is involved")
    processes = MapOf(
        "several processes of one app, by name",
        Command("the program of this process"),
        key=NAME,
        wanted=f"is not the name of a process: {NAME_WANTED}",
        example="web: gunicorn shop.wsgi",
        least=1,
    )
    app = Text("a hosted ASGI or WSGI app", pattern=MODULE_AND_OBJECT, wanted="must read like module:callable")
    reload_signal = Text(
        "the signal that makes the app read its configuration again, such as HUP",
        pattern="|".join(f"(?:SIG)?{name.removeprefix('SIG')}" for name in _SIGNALS),
        wanted="must be the name of a signal, such as HUP or USR1",
    )

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check(self, data: dict[str, Any], original: Any, **_: Any) -> None:
        """One way to run at most."""
        if not isinstance(original, dict):
            return
        given = [name for name in ("command", "processes", "app") if name in original]
        errors: Errors = {name: [f"cannot go together with {given[0]}"] for name in given[1:]}
        processes = original.get("processes")
        if isinstance(processes, dict) and HOOK_LOG in processes and "processes" not in errors:
            errors["processes"] = {HOOK_LOG: ["is the name that the output of hooks is kept under; take another"]}
        raise_all(errors)

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Run:
        """A single command is the process `main`; a signal has its full name."""
        processes = {"main": data["command"]} if "command" in data else data.get("processes", {})
        reload_signal = data.get("reload_signal", "")
        if reload_signal:
            reload_signal = "SIG" + reload_signal.removeprefix("SIG")
        return Run(processes=processes, app=data.get("app", ""), reload_signal=reload_signal)


class LimitsSection(Section):
    """`limits`."""

    makes = Limits
    memory = Size("the most memory of each process")
    cpus = Amount("the most CPUs of each process", 4096)


class HooksSection(Section):
    """`hooks`."""

    makes = Hooks
    pre_deploy = Command("run in the new release before it goes live")
    post_deploy = Command("run in the new release after it went live")
    timeout = Duration("how long each of them may take, at most 20m", default="5m", most=1200)
