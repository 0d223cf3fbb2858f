"""How every command ends: the exit codes, and the one place that prints an error.

`error: what happened` and, on the next line, what to do; never a traceback, unless CELERIAC_DEBUG=1.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from celeriac.errors import CeleriacError, MisuseError

OK = 0
FAILED = 1
MISUSE = 2
OUT_OF_SYNC = 3
INTERRUPTED = 130  # as a shell reports SIGINT
PIPE_CLOSED = 141  # as a shell reports SIGPIPE


class PipeClosed(Exception):  # noqa: N818 - an outcome, not a fault
    """Whoever read our output stopped reading. Not an OSError: click would answer that with an exit of its own."""


def guard(body: Callable[[], Any]) -> int:
    """Run `body`, tell what went wrong on standard error, and return the exit code."""
    try:
        code = body()
        sys.stdout.flush()
    except click.ClickException as error:
        return _misused(error)
    except CeleriacError as error:
        return fail(error)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (BrokenPipeError, PipeClosed):
        return _pipe_closed()
    except Exception as error:  # noqa: BLE001 - the last stop before the user: said in one line, kept in full
        return _unexpected(error)
    return code if isinstance(code, int) else OK


def fail(error: CeleriacError) -> int:
    """Print `error` and return its exit code."""
    if _debug():
        traceback.print_exception(error)
    if error.reason == "StateUnavailable" and _uses_own_redis():
        _say("Celeriac is not running", "start it with: celeriac up")
        return FAILED
    # Errors that know more than one sentence (an app, a step, last lines of output) say it in their text.
    text = str(error)
    if error.hint and text.endswith(error.hint):
        text = text[: -len(error.hint)].rstrip()
    _say(text, error.hint)
    return MISUSE if isinstance(error, MisuseError) else FAILED


def of_status(status: Mapping[str, Any]) -> int:
    """The exit code for a `status` document: 3 unless everything that should run runs as Git says."""
    if status["status"] == "error":
        return FAILED
    if status["status"] == "degraded":
        return OUT_OF_SYNC
    fine = all(app["sync"] in {"synced", "suspended"} for app in status["apps"].values())
    return OK if fine else OUT_OF_SYNC


def of_run(record: Mapping[str, Any]) -> int:
    """The exit code for the record of a run that has ended."""
    if record.get("error") or record["status"] in {"error", "failed", "abandoned", "cancelled"}:
        return FAILED
    bad = {"failed", "blocked", "superseded"}
    if record["status"] == "degraded" or any(step["state"] in bad for step in record.get("steps", ())):
        return OUT_OF_SYNC
    return OK


def _misused(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return MISUSE
    message = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"try: {context.command_path} --help" if context is not None else ""
    _say(message[:1].lower() + message[1:], hint)
    return MISUSE


def _say(message: str, hint: str) -> None:
    from cli.text import printable

    click.echo(f"error: {printable(message)}", err=True)
    if hint:
        click.echo(f"  {printable(hint)}", err=True)


def _pipe_closed() -> int:
    # What is still buffered must not raise again when the interpreter ends.
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a test's stream has no file descriptor
            os.dup2(null, stream.fileno())
    os.close(null)
    return PIPE_CLOSED


def _unexpected(error: Exception) -> int:
    if _debug():
        traceback.print_exception(error)
        return FAILED
    kept = _keep(error)
    hint = f"the details are in {kept}" if kept else "CELERIAC_DEBUG=1 shows the details"
    # Its text is left out: an error that nobody foresaw may hold anything, a password too.
    _say(f"unexpected {type(error).__name__}; this is a fault in Celeriac or in what it stands on", hint)
    return FAILED


def _keep(error: Exception) -> Path | None:
    """Write the traceback below the home folder, readable by the user alone; None when that is not possible."""
    from celeriac.settings import load

    try:
        folder = load().home / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "celeriac.cli.log"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(sys.argv)}\n{''.join(traceback.format_exception(error))}\n")
    except (OSError, CeleriacError):
        return None
    return path


def _uses_own_redis() -> bool:
    from celeriac.settings import load

    try:
        return not load().redis_url
    except CeleriacError:
        return False


def _debug() -> bool:
    return os.environ.get("CELERIAC_DEBUG", "") not in {"", "0"}
