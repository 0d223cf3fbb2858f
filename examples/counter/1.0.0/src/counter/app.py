"""The WSGI app that Celeriac hosts (`run.app: counter.app:app`), and what it is told when it changes."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from counter.state import tally
from counter.web import application

app = application(tally, os.environ)


def code_change(old_version: str, new_version: str) -> None:
    """Called in the running process when its code was reloaded, before requests go on."""
    print(f"from {old_version} to {new_version}, with {tally.value} visitors", flush=True)


def config_change(changed: Mapping[str, str], new: Mapping[str, str], removed: Collection[str]) -> None:
    """Called when its environment changed: without a restart too."""
    global app
    app = application(tally, os.environ)
