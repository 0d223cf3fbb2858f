"""Run by the release's interpreter: `python -P <this file> --servers uvicorn,hypercorn module:callable`.

Where CELERIAC_GUESTS says where the node's shared host process listens, this one only attends to a guest there
(`attendant`). With `--guests <folder>` it is that shared host (`guests`).

The package is given a private name, so that neither its modules nor its folder can be mistaken for the app's: `-P`
keeps the folder off the import path.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

_NAME = "_celeriac_host"


def _become_package() -> None:
    """Make the modules of this folder importable as `_celeriac_host.…`, and as nothing else."""
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is the app's to import
    spec = importlib.util.spec_from_file_location(
        _NAME, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]  # noqa: PTH118
    )  # fmt: skip
    if spec is None or spec.loader is None:
        sys.exit("celeriac: the host is not where it should be")
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    _become_package()
    if sys.argv[1:2] == ["--guests"]:
        importlib.import_module(f"{_NAME}.guests").main(sys.argv[2])
    elif "CELERIAC_GUESTS" in os.environ:
        importlib.import_module(f"{_NAME}.attendant").main(sys.argv[1:])
    else:
        importlib.import_module(f"{_NAME}.main").main(sys.argv[1:])
