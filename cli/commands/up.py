"""`celeriac up`: run everything that one machine needs."""

from __future__ import annotations

import contextlib
import fcntl
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import click

from celeriac.errors import CeleriacError
from cli import exits

if TYPE_CHECKING:
    from celeriac.settings import Settings

_FOOTER = "Ctrl-C stops Celeriac; the apps go on."
_FOOTER_APPS = "Ctrl-C stops Celeriac and the apps."


@click.command(short_help="Run everything that one machine needs.")
@click.option("--repo", metavar="URL", help="The Git repository that says what runs; remembered for later.")
@click.option("-d", "--detach", is_flag=True, help="Return when all is ready, and leave it running.")
@click.option("--stop-apps", is_flag=True, hidden=True, help="Stop the apps too in the end, as the demo does.")
@click.option("--timeout", type=click.FloatRange(1), default=60.0, show_default=True, help="Seconds to become ready.")
def up(repo: str | None, detach: bool, stop_apps: bool, timeout: float) -> int:
    """Run everything that one machine needs, until Ctrl-C or `celeriac down`."""
    from celeriac.settings import load
    from cli.remember import remember, repository

    settings = load()
    if repo is not None:
        settings = remember(settings, repository(repo))
    settings.require_repo()
    with _terminations():
        if detach:
            _bring_up(settings, timeout)
            click.echo("See how it stands: celeriac status --watch · stop it: celeriac down")
            return exits.OK
        with _in_front(settings) as alone:
            if not alone:
                click.echo("Celeriac is running already, in another terminal. See it with: celeriac status --watch")
                return exits.OK
            return _stay(settings, timeout, stop_apps)


def _bring_up(settings: Settings, timeout: float) -> None:
    """Start the services, wait for them and say where they are; stop what a failure left half started."""
    from celeriac.settings import without_password
    from tasks import services

    started = services.start(settings)
    if started.already:
        click.echo("Celeriac is running already.")
    else:
        click.echo(f"Starting Celeriac for {without_password(settings.repo_url)} ({settings.branch})")
    if started.changed:
        click.echo("  It runs with other settings than those now in force: celeriac down, then up, changes that.")
    quiet = started.already
    try:
        services.wait_ready(
            settings, timeout, progress=lambda name: None if quiet else click.echo(f"  {name} is ready")
        )
    except CeleriacError:
        if not started.already:
            click.echo("Stopping again.", err=True)
            services.stop(settings, at_once=True)
        raise
    for what, address in started.addresses.items():
        click.echo(f"  {what}: {address}")


def _stay(settings: Settings, timeout: float, stop_apps: bool) -> int:
    from cli.watch import watch_status
    from tasks import services

    try:
        _bring_up(settings, timeout)
        watch_status(_FOOTER_APPS if stop_apps else _FOOTER, check=lambda: _check(settings))
    except KeyboardInterrupt:
        what = "Celeriac and the apps" if stop_apps else "Celeriac; the apps go on"
        click.echo(f"\nStopping {what}. Ctrl-C again does not wait for work that goes on.")
        try:
            services.stop(settings, apps=stop_apps)
        except KeyboardInterrupt:
            services.stop(settings, apps=stop_apps, at_once=True)
        click.echo("Stopped.")
    except _Stopped:
        click.echo("Celeriac was stopped by another command.")
    return exits.OK


class _Stopped(Exception):  # noqa: N818 - an outcome, not a fault
    """Somebody ran `celeriac down`."""


def _check(settings: Settings) -> None:
    from tasks import services

    if not services.running(settings):
        raise _Stopped


@contextlib.contextmanager
def _terminations() -> Iterator[None]:
    """TERM (a container, systemd) and HUP (the terminal was closed) end `up` as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _in_front(settings: Settings) -> Iterator[bool]:
    """Whether this is the only `up` in the foreground. A killed one holds nothing back: the kernel frees its lock."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
