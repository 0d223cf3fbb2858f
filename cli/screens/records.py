"""What happened and who takes part: events, an app's history, the nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from celeriac.units import format_duration
from cli.screens.style import fluid, plain, table, word
from cli.text import ago, clock, first_line, one_line, printable, short, since


def event_line(event: Mapping[str, Any]) -> Text:
    """One event: `14:02:11 deploy.stop web on web-1 ok 4.2s`."""
    line = Text.assemble((f"{clock(event.get('time'))[11:]} ", "dim"), (printable(event["name"]), "bold"))
    if event.get("app"):
        line.append(f" {printable(event['app'])}")
    if event.get("node"):
        line.append(f" on {printable(event['node'])}", style="dim")
    if event.get("revision"):
        line.append(f" {short(event['revision'])}", style="dim")
    if event.get("result"):
        line.append(" ")
        line.append_text(word(event["result"]))
    if event.get("duration") is not None:
        line.append(f" {format_duration(float(event['duration']))}", style="dim")
    for key, value in (event.get("extra") or {}).items():
        line.append(f" {printable(key)}={one_line(value, 80)}", style="dim")
    if event.get("error"):
        line.append(f" {one_line(event['error'], 400)}", style="red")
    return line


def history_screen(name: str, changes: Iterable[Mapping[str, Any]], now: datetime) -> RenderableType:
    """The changes of one app, newest first."""
    rows = table("WHEN", "ACTION", "VERSION", "RESULT", "NODE", "TOOK", "COMMIT", "WHY", flexible="WHY")
    for change in changes:
        old, new = printable(change.get("from_version")), printable(change.get("to_version"))
        commit = " ".join(filter(None, (short(change.get("revision")), one_line(change.get("author"), 40))))
        took = change.get("duration")
        rows.add_row(
            Text(ago(change.get("time"), now), style="dim"),
            plain(change["action"], "bold"),
            Text(f"{old} → {new}" if old and new and old != new else new or old),
            word(change["result"]),
            plain(change.get("node"), "dim"),
            Text(format_duration(float(took)) if took is not None else "", style="dim"),
            Text(commit, style="dim"),
            fluid("; ".join(filter(None, (one_line(change.get("subject"), 80), first_line(change.get("why")))))),
        )
    return rows if rows.row_count else Text(f"Nothing has happened to {printable(name)} yet.")


def nodes_screen(nodes: Iterable[Mapping[str, Any]], now: datetime) -> RenderableType:
    """The machines that take part."""
    rows = table("NODE", "STATE", "SEEN", "UP", "RUNTIME", "VERSION", "LABELS", flexible="LABELS")
    for node in nodes:
        labels = ",".join(f"{printable(key)}={printable(value)}" for key, value in (node.get("labels") or {}).items())
        alive = bool(node.get("alive"))
        rows.add_row(
            plain(node["name"], "bold"),
            Text("up", style="green") if alive else word("down"),
            Text(ago(node.get("seen_at"), now), style="dim"),
            Text(since(node.get("started_at"), now) if alive else "", style="dim"),
            plain(node.get("runtime")),
            plain(node.get("version")),
            fluid(labels, "dim"),
        )
    return rows if rows.row_count else Text("No node has reported yet. A worker reports within seconds of its start.")
