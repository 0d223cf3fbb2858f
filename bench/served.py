"""A Celeriac with one real app on it, the one of `bench.deploy`: what `rollback` and `healing` are measured with."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.deploy import answers, free_port, make_index
from bench.measure import seconds, until
from bench.place import Place
from runtimes import strays

PACKAGE = NAME = "served"


class Served(Place):
    """One machine with the app `served` on it."""

    def __init__(self) -> None:
        super().__init__(runtime="process", UV_OFFLINE="1")
        self.port = free_port()

    def bring(self, version: str) -> None:
        """Have that version of the app running and healthy."""
        self.write(
            NAME,
            f'name: {NAME}\nversion: "{version}"\nenv: {{PORT: "{self.port}"}}\n'
            f"health: {{port: {self.port}, path: /, interval: 5s}}\n",
        )
        self.commit()
        record = self.synced()
        assert record["counts"] == {"ok": 1}, record

    def healthy(self) -> bool:
        """Whether the app answers."""
        return answers(self.port)

    def own_start(self) -> float:
        """Seconds of the app's own start, by hand: the release that is in force, on another port."""
        port = free_port()
        program = self.home / "apps" / NAME / "current" / "venv" / "bin" / PACKAGE
        started: list[subprocess.Popen[bytes]] = []

        def start() -> None:
            started.append(subprocess.Popen([str(program)], env={**self.environ, "PORT": str(port)}))
            until(lambda: answers(port))

        try:
            return seconds(start)
        finally:
            for process in started:
                process.kill()
                process.wait()


@contextlib.contextmanager
def served(*versions: str) -> Iterator[Served]:
    """Celeriac at work, with the app upgraded from the first of `versions` to the last."""
    with Served() as place:
        for name in [name for name in place.environ if name.startswith("UV_") and name != "UV_OFFLINE"]:
            del place.environ[name]
        place.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each command compiles all that it imports
        shelf, index = place.folder / "shelf", place.folder / "index"
        shelf.mkdir()
        index.mkdir()
        make_index(shelf, versions)
        place.environ.update(UV_FIND_LINKS=str(shelf), UV_DEFAULT_INDEX=index.as_uri())
        try:
            place.begin()
            for version in versions:
                place.bring(version)
            yield place
        finally:
            place.kill("beat")
            place.kill("worker")
            place.stop_apps()
            strays.end(strays.find(place.home), grace=0)


def release_of(place: Served) -> Path:
    """The release that is in force."""
    return (place.home / "apps" / NAME / "current").resolve()
