"""One app in full, and the answer to `celeriac why`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cli.screens.status import in_trouble, version
from cli.screens.style import facts, word
from cli.text import clock, one_line, printable, since

_SHOWN = {
    "name", "sync", "status", "health", "version", "desired_version", "node", "pid", "started_at", "reason", "message",
    "depends_on", "description", "icon", "nodes",
}  # fmt: skip


def app_screen(name: str, app: Mapping[str, Any], now: datetime) -> RenderableType:
    """The screen of `celeriac app NAME`: everything known, then what is wrong."""
    started = clock(app.get("started_at"))
    if started:
        started = f"{started} ({since(app['started_at'], now)})"
    head = Text.assemble((printable(name), "bold"), "  ", version(app))
    if app.get("description"):
        head.append(f"  {one_line(app['description'])}", style="dim")
    parts: list[RenderableType] = [
        head,
        Text(),
        facts(
            ("sync", word(app["sync"])),
            ("status", word(app["status"])),
            ("health", word(app["health"])),
            ("node", app.get("node")),
            ("pid", app.get("pid")),
            ("started", started),
            ("depends on", ", ".join(map(printable, app.get("depends_on") or ()))),
            *((key.replace("_", " "), _value(value)) for key, value in app.items() if key not in _SHOWN),
            ("reason", app.get("reason")),
            ("message", app.get("message")),
        ),
    ]
    nodes = app.get("nodes")
    if isinstance(nodes, Mapping) and len(nodes) > 1:
        parts += [
            Text(),
            Text("On its nodes", style="bold"),
            facts(*((node, _node(s)) for node, s in sorted(nodes.items()))),
        ]
    if in_trouble(app):
        parts += [Text(), Text(f"celeriac why {printable(name)} says what to do", style="dim")]
    return Group(*parts)


def why_screen(answer: Mapping[str, Any]) -> RenderableType:
    """A colleague's answer: how it stands, what happened, what to do, and what the app said last."""
    first = Text.assemble(
        (printable(answer["app"]), "bold"), " is ", word(answer["sync"]), ", ", word(answer["status"])
    )
    first.append(" and ")
    first.append_text(word(answer["health"]))
    if answer.get("reason"):
        first.append(f" ({printable(answer['reason'])})", style="dim")
    first.append(".")
    parts: list[RenderableType] = [first]
    told = [printable(answer.get("explanation")), printable(answer.get("message"))]
    if told[0] and told[1] and told[1] in told[0]:
        told.pop()
    for text in filter(None, told):
        parts += [Text(), Text(text)]
    lines = answer.get("log") or ()
    if lines:
        parts += [Text(), Text("The last it said:", style="bold")]
        parts += [Text(f"  {printable(_log_text(line))}", style="dim") for line in lines]
    if answer.get("next"):
        parts += [Text(), Text.assemble(("What to do: ", "bold"), printable(_joined(answer["next"])))]
    return Group(*parts)


def _joined(value: Any) -> str:
    return value if isinstance(value, str) else "\n".join(map(str, value))


def _log_text(line: Any) -> Any:
    return line.get("line", "") if isinstance(line, Mapping) else line


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(key)}={printable(item)}" for key, item in value.items() if item not in (None, ""))
    if isinstance(value, list | tuple):
        return ", ".join(map(printable, value))
    return printable(value)


def _node(state: Any) -> str:
    if not isinstance(state, Mapping):
        return printable(state)
    return " ".join(printable(state.get(key)) for key in ("version", "status", "health", "message") if state.get(key))
