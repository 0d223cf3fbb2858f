"""The Celery app: `celery -A tasks worker|beat|flower` finds it here. Its settings are in `celeryconfig.py`.

Importing it imports the tasks, the worker's own parts (`tasks.worker`) and telemetry; commands that only read
never do.
"""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from celery import Celery

from celeriac.errors import SettingsError

_CONFIG = Path(__file__).parent.parent / "celeryconfig.py"


def _config() -> ModuleType:
    """Our `celeryconfig.py`, whatever else of that name is on the path."""
    spec = spec_from_file_location("celeriac_celeryconfig", _CONFIG)
    if spec is None or spec.loader is None or not _CONFIG.is_file():
        raise SettingsError(f"{_CONFIG}: no such file", hint="install Celeriac anew")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


app = Celery("tasks", set_as_current=True)
app.config_from_object(_config())
app.conf.imports = ("tasks.pipeline", "tasks.worker", "tasks.stopping", "tasks.timers")
app.loader.import_default_modules()
