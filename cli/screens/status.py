"""The overview: one line for the whole, a row per app, and below it why anything is not as it should be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.screens.style import COLOURS, fluid, plain, table, word
from cli.text import ago, first_line, is_over, printable, short, since

_REASONS_SHOWN = 20


def overview(
    status: Mapping[str, Any], now: datetime, *, height: int | None = None, trouble: str = ""
) -> RenderableType:
    """The screen of `celeriac status`; with `height`, it fits so many lines and shows troubled apps first.

    `trouble` is what is wrong with the repository as a whole.
    """
    apps: Mapping[str, Mapping[str, Any]] = status["apps"]
    troubled = [name for name, app in sorted(apps.items()) if in_trouble(app)]
    parts: list[RenderableType] = [headline(status, now)]
    if trouble:
        parts.append(Text(printable(trouble), style=COLOURS["error"]))
    if not apps and trouble:
        return Group(*parts)
    if not apps:
        parts += [Text(), _empty(status)]
        return Group(*parts)
    names = sorted(apps)
    reasons_shown = _REASONS_SHOWN
    hidden = 0
    if height is not None:
        reasons_shown = max(2, min(_REASONS_SHOWN, height // 4))
        reason_lines = min(len(troubled), reasons_shown) + 2 if troubled else 0
        room = max(1, height - 4 - reason_lines)
        if len(names) > room:
            busy = [n for n in names if n not in set(troubled) and apps[n]["status"] != "running"]
            first = [*troubled, *busy]
            chosen = set(first[:room]) | set([n for n in names if n not in set(first)][: max(0, room - len(first))])
            hidden = len(names) - len(chosen)
            names = [n for n in names if n in chosen]
    parts += [Text(), _rows(apps, names, now)]
    if hidden:
        parts.append(Text(f"… and {hidden} more: celeriac status", style="dim"))
    if troubled:
        parts += [Text(), *_reasons(apps, troubled, reasons_shown)]
    return Group(*parts)


def headline(status: Mapping[str, Any], now: datetime) -> Text:
    """The whole in one line: `● synced  a1b2c3d4e on main  12/12 healthy  last sync 12s ago, next in 48s`."""
    state = printable(status["status"])
    line = Text(no_wrap=True, overflow="ellipsis")
    line = line.append("● ", COLOURS.get(state, "")).append_text(word(state))
    revision = short(status.get("revision"))
    branch = printable(status.get("branch"))
    if revision:
        line.append(f"  {revision}", style="bold")
        line.append(f" on {branch}" if branch else "")
    elif branch:
        line.append(f"  {branch}")
    if status["app_count"]:
        line.append(f"  {status['healthy_count']}/{status['app_count']} healthy")
    times = f"last sync {ago(status.get('last_sync'), now)}"
    if status.get("next_sync"):
        times += f", next {'now' if is_over(status['next_sync'], now) else ago(status['next_sync'], now)}"
    line.append(f"  {times}", style="dim")
    return line


def in_trouble(app: Mapping[str, Any]) -> bool:
    """Whether somebody should look at this app."""
    return (
        app["sync"] in {"invalid", "blocked"}
        or app["status"] == "failed"
        or app["health"] == "unhealthy"
        or bool(app["sync"] != "suspended" and app.get("reason"))
    )


def version(app: Mapping[str, Any]) -> Text:
    """What runs, and what should: `1.2.0 → 1.3.0`."""
    runs, wanted = printable(app.get("version")), printable(app.get("desired_version"))
    if not wanted or wanted == runs:
        return Text(runs or "-")
    return Text.assemble(runs or "-", (" → ", "dim"), (wanted, "yellow"))


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Iterable[str]:
    """What is new in `after`, a line each: for logs and pipes, where a screen cannot be redrawn."""
    old = before["apps"] if before else {}
    if before is None or before["status"] != after["status"] or before["revision"] != after["revision"]:
        revision = short(after.get("revision"))
        yield f"{printable(after['status'])}{f' at {revision}' if revision else ''}"
    for name in sorted(old.keys() - after["apps"].keys()):
        yield f"{printable(name)}: gone"
    for name, app in sorted(after["apps"].items()):
        shown = ("sync", "status", "health", "version", "reason")
        if name not in old or any(old[name].get(key) != app.get(key) for key in shown):
            parts = [printable(app["sync"]), printable(app["status"]), printable(app["health"])]
            line = f"{printable(name)} {version(app).plain}: {', '.join(parts).replace('_', ' ')}"
            why = first_line(": ".join(filter(None, (app.get("reason"), app.get("message")))))
            yield f"{line} ({why})" if why else line


def _rows(apps: Mapping[str, Mapping[str, Any]], names: Iterable[str], now: datetime) -> Table:
    rows = table("APP", "VERSION", "SYNC", "STATUS", "HEALTH", "NODE", "UP", flexible="APP")
    for name in names:
        app = apps[name]
        seen = app["status"] == "running" and app.get("reason") != "NotObserved"
        up = since(app.get("started_at"), now) if seen else ""
        rows.add_row(
            fluid(name, "bold"),
            version(app),
            word(app["sync"]),
            word(app["status"]),
            word(app["health"]),
            plain(app.get("node"), "dim"),
            Text(up, style="dim"),
        )
    return rows


def _reasons(apps: Mapping[str, Mapping[str, Any]], troubled: list[str], shown: int) -> Iterable[RenderableType]:
    for name in troubled[:shown]:
        app = apps[name]
        line = Text.assemble((f"{printable(name)}:", "bold"))
        if app.get("reason"):
            line.append(f" {printable(app['reason'])}", style=COLOURS.get(app["sync"], "yellow"))
        message = first_line(app.get("message"), 400)
        yield line.append(f" {message}" if message else "")
    left = len(troubled) - shown
    if left > 0:
        yield Text(f"… and {left} more that need a look", style="dim")
    yield Text(f"celeriac why {troubled[0]} says more", style="dim")


def _empty(status: Mapping[str, Any]) -> Text:
    if status["status"] == "initializing":
        return Text("No apps yet: the first sync has not ended.")
    return Text(
        "No apps yet. Commit one as apps/NAME/app.yaml and push; `celeriac init DIR` writes an example to start from."
    )
