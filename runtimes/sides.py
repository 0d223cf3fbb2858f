"""The two places of an app: `blue` and `green`. An app runs on one; while it is upgraded beside itself, on both.

What a generation (one running copy of a release) is called, by the supervisor and in the file names of logs. Pure.
"""

from __future__ import annotations

from typing import Literal

Side = Literal["blue", "green"]
SIDES: tuple[Side, Side] = ("blue", "green")


def other(side: Side) -> Side:
    """The place beside `side`."""
    return "green" if side == "blue" else "blue"


def group_name(app: str, side: Side) -> str:
    """The supervisor's name of one generation. No app can be named like the second: names hold no `@`."""
    return app if side == "blue" else f"{app}@{side}"


def side_of(group: str) -> Side:
    """Which generation the supervisor's group is."""
    return "green" if group.endswith("@green") else "blue"


def log_name(app: str, side: Side, process: str) -> str:
    """The file, in the folder of logs, that a process of one generation prints to."""
    return f"{app}@{side}.{process}.log"
