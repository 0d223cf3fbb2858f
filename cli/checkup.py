"""Everything that `celeriac doctor` looks at, in order: the settings, this machine, then what runs on it.

One check that breaks is one line that says so; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from celeriac.errors import CeleriacError
from celeriac.settings import Settings, load
from cli.check import Check, fail, guarded, ok, warn
from cli.machine_checks import MACHINE_CHECKS
from cli.service_checks import service_checks


def checkup(read: Callable[[], Settings] = load) -> Iterator[Check]:
    """Look at one thing after the other; without settings nothing else can be looked at."""
    try:
        settings = read()
    except CeleriacError as error:
        yield fail("settings", error.message, error.hint or "see what is in force with: celeriac config")
        return
    yield _settings(settings)
    for name, look in MACHINE_CHECKS.items():
        yield guarded(name, lambda look=look: look(settings))  # type: ignore[misc]
    yield from service_checks(settings)


def _settings(settings: Settings) -> Check:
    if not settings.repo_url:
        return warn("settings", "no repository is set", "start with: celeriac up --repo URL")
    given = sum(source != "default" for source in settings.sources.values())
    return ok("settings", f"{given} given, the others have their defaults; see: celeriac config")
