"""How a process ended, in our own words, where its supervisor has those of supervisord. Pure."""

from __future__ import annotations

import re

_TOO_EARLY = "Exited too quickly"
_EXIT = re.compile(r"Bad exit code (-?\d+)")
_SIGNALLED = -1  # what the supervisor has in place of an exit code; it does not tell the signal


def how_it_ended(error: str, exit_status: int, starts_seconds: float) -> str:
    """A sentence without its end, of what the supervisor calls `error` and `exit_status`.

    One that ends before `starts_seconds` is a failed start, of which the supervisor does not tell the exit code.
    """
    if error.startswith(_TOO_EARLY):
        return f"it ended before it had run for {starts_seconds:g} seconds"
    found = _EXIT.match(error)
    if error and found is None:
        return f"it could not be started: {error}"
    code = int(found[1]) if found else exit_status
    if code == _SIGNALLED:
        return "it was ended by a signal"
    return f"it ended with exit code {code}" if code else "it ended"
