"""A run as it goes on and as it ended: what works on what, what failed, what it held up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from celeriac.units import format_duration
from cli.screens.style import fluid, plain, table, word
from cli.text import one_line, printable, short

_ENDED = {"ok", "failed", "blocked", "superseded"}
_ROWS = 12

StepKey = tuple[str, str, str, str]
"""App, node, what is done, and the state that steps of that name came to."""


def progress(run: Mapping[str, Any], seconds: float) -> RenderableType:
    """What a run does now: a line of counts and a row for each step at work."""
    steps = run.get("steps", [])
    done = sum(step["state"] in _ENDED for step in steps)
    line = Text.assemble("run ", (printable(run["run"]), "bold"), f"  {done} of {len(steps)} steps")
    failed = sum(step["state"] == "failed" for step in steps)
    if failed:
        line.append(f"  {failed} failed", style="red")
    line.append(f"  {format_duration(seconds) if seconds >= 1 else ''}", style="dim")
    rows = table("", "", "", "", flexible="")
    rows.show_header = False
    at_work = [step for step in steps if step["state"] in {"running", "ready"}]
    for step in at_work[:_ROWS]:
        rows.add_row(
            plain(_subject(step), "bold"),
            plain(_done(step)),
            word(step["state"]),
            fluid(one_line(step.get("message"), 60)),
        )
    parts: list[RenderableType] = [line, rows]
    if len(at_work) > _ROWS:
        parts.append(Text(f"… and {len(at_work) - _ROWS} more", style="dim"))
    return Group(*parts)


def step_lines(seen: dict[StepKey, int], run: Mapping[str, Any]) -> Iterable[str]:
    """A line for each step whose state is new since the last call; `seen` remembers, and is updated.

    Steps may have one name, as two restarts of an app, or the shares of a large parse: how many of a name came to a
    state is what is remembered.
    """
    now: Counter[StepKey] = Counter()
    for step in sorted(run.get("steps", []), key=lambda step: step["state"] not in _ENDED):
        state = step["state"]
        if state in _ENDED:
            now[_key(step, "running")] += 1  # it did, or nobody needs to be told any more
        elif state != "running":
            continue
        now[_key(step, state)] += 1
        if now[_key(step, state)] > seen.get(_key(step, state), 0):
            yield _step_text(step)
    seen.clear()
    seen.update(now)


def summary(record: Mapping[str, Any], seen: Mapping[StepKey, int] = {}) -> Iterable[Text]:
    """How a run ended, in a line, and what each step says that did not do its work; not of those that `seen` has."""
    counts = record.get("counts") or {}
    told = ", ".join(f"{number} {printable(state)}" for state, number in counts.items() if number)
    line = Text.assemble("run ", (printable(record["run"]), "bold"), " ended: ", word(record["status"]))
    if record.get("revision"):
        line.append(f" at {short(record['revision'])}")
    if told:
        line.append(f"  {told}")
    if record.get("duration") is not None:
        line.append(f"  in {format_duration(float(record['duration']))}", style="dim")
    yield line
    if record.get("error"):
        yield Text.assemble(("error: ", "red"), one_line(record["error"], 400))
    now: Counter[StepKey] = Counter()
    for step in record.get("steps", ()):
        key = _key(step, step["state"])
        now[key] += 1
        if step["state"] in {"failed", "blocked"} and now[key] > seen.get(key, 0):
            yield Text(_step_text(step), style="red" if step["state"] == "failed" else "yellow")


def _key(step: Mapping[str, Any], state: str) -> StepKey:
    return printable(step.get("app")), printable(step.get("node")), _done(step), state


def _step_text(step: Mapping[str, Any]) -> str:
    """What became of a step, in a line; then, as they are, the further lines of what it says: output, what to do."""
    said = printable(": ".join(filter(None, (step.get("reason"), step.get("message"))))).strip()
    why, *more = said.splitlines() or [""]
    line = f"{_subject(step)}: {_done(step)} {printable(step['state'])}" + (f" ({why})" if why else "")
    return "\n".join([line, *more])


def _done(step: Mapping[str, Any]) -> str:
    """What a step does, in the word of whoever asked for it: a restart is a task `deploy`."""
    return printable("restart" if step.get("action") == "restart" else step["task"])


def _subject(step: Mapping[str, Any]) -> str:
    app, node = printable(step.get("app")), printable(step.get("node"))
    return f"{app} on {node}" if app and node else app or "repository"
