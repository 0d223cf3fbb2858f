"""How many connections to a port of this machine are open: whether a generation has answered all that it was asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psutil

_ESTABLISHED = "01"


def established(port: int) -> int:
    """The connections that others have to `port`, also those that nobody has accepted yet."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    found = [table.read_text(encoding="ascii") for table in tables if table.exists()]
    if found:
        return sum(count(text.splitlines()[1:], port) for text in found)
    return sum(
        one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in psutil.net_connections(kind="tcp")
    )


def count(lines: Iterable[str], port: int) -> int:
    """The established connections whose own end is `port`, in the lines of the kernel's table. Pure."""
    wanted = f":{port:04X}"
    fields = (line.split() for line in lines)
    return sum(len(one) > 3 and one[1].endswith(wanted) and one[3] == _ESTABLISHED for one in fields)
