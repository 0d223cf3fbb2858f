"""The plan: what a sync would do, in order, and what it would leave alone and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cli.screens.style import fluid, plain, table
from cli.text import first_line, one_line, printable, short

_MARKS = {
    "deploy": ("+", "green"),
    "adopt": ("+", "green"),
    "upgrade": ("~", "yellow"),
    "reconfigure": ("~", "yellow"),
    "repair": ("!", "yellow"),
    "rollback": ("~", "yellow"),
    "record": ("=", "dim"),
    "remove": ("-", "red"),
}


def plan_screen(plan: Mapping[str, Any]) -> RenderableType:
    """The screen of `celeriac plan`."""
    at = f" for {short(plan.get('revision'))}" if plan.get("revision") else ""
    parts: list[RenderableType] = []
    if plan["empty"]:
        why = "what differs from Git is held back" if plan.get("held") else "what runs is what Git says"
        parts.append(Text(f"Nothing to do{at}: {why}."))
    else:
        parts.append(Text.assemble("Plan ", (printable(plan["id"]), "bold"), f"{at}: {_counts(plan['actions'])}"))
        parts += [Text(), _actions(plan["actions"])]
    for title, key in (("Held back", "held"), ("Problems", "problems")):
        if plan.get(key):
            parts += [Text(), Text(title, style="bold")]
            parts += [Text(f"  {line}") for line in _lines(plan[key])]
    if not plan["empty"]:
        parts += [Text(), Text(f"carry out exactly this: celeriac sync --plan {printable(plan['id'])}", style="dim")]
    return Group(*parts)


def _counts(actions: Iterable[Mapping[str, Any]]) -> str:
    counted = Counter(printable(action["action"]) for action in actions)
    return ", ".join(f"{number} to {action}" for action, number in counted.items())


def _actions(actions: Iterable[Mapping[str, Any]]) -> RenderableType:
    rows = table("", "ACTION", "APP", "VERSION", "NODE", "WHY", flexible="WHY")
    for action in actions:
        mark, colour = _MARKS.get(action["action"], ("·", ""))
        old, new = printable(action.get("from_version")), printable(action.get("version"))
        versions = f"{old} → {new}" if old and new and old != new else new or old
        why = ": ".join(filter(None, (one_line(action.get("reason")), one_line(action.get("detail"), 120))))
        if action.get("hooks"):
            why = "; ".join(filter(None, (why, f"runs {' and '.join(map(printable, action['hooks']))}")))
        if action.get("after"):
            why = "; ".join(filter(None, (why, f"after {', '.join(map(printable, action['after']))}")))
        rows.add_row(
            Text(mark, style=colour),
            plain(action["action"], colour),
            plain(action["app"], "bold"),
            Text(versions),
            plain(action.get("node"), "dim"),
            fluid(why, "dim"),
        )
    return rows


def _lines(entries: Iterable[Any]) -> Iterable[str]:
    for entry in entries:
        if isinstance(entry, Mapping):
            name = printable(entry.get("app"))
            rest = ": ".join(filter(None, (printable(entry.get("reason")), first_line(entry.get("message"), 400))))
            yield f"{name}: {rest}" if name else rest
        else:
            yield one_line(entry, 400)
