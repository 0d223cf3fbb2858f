"""`python -m bench.soak [UPGRADES]`: a thousand upgrades in a row, and what is left of them: nothing.

Two apps on a whole Celeriac get one new version after the other, one by hot reload, one beside itself, each built from
a package of its own. Counted after each part: processes, ports and open files of everything below the home, release
folders, keys in Redis; and the memory of the worker, of its processes and of the host. The first fifth is for warming
up: after it nothing may grow, memory by 5 % at most.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from bench import deploy, pushed
from bench.hot_reload import modules
from bench.measure import until
from bench.place import Place
from bench.table import Row, show

# isort: split
from hosting import app_wheel, free_port, wheel_of  # tests/support, on the path since bench.place

from runtimes import strays

UPGRADES = 1000
_PARTS = 10
_WARM = 2
_MODULES = 10
_GROWTH = 1.05


@dataclass(frozen=True, slots=True)
class Left:
    """What there is at one moment. Memory is in bytes, of the worker with its processes and of the hosted app."""

    processes: int
    ports: int
    files: int
    releases: int
    keys: int
    worker: int
    host: int


class Soak(Place):
    """A machine with two apps, `shop` and `pushed`."""

    def __init__(self) -> None:
        # As many processes as both apps keep busy: one that is first used late would look like growth.
        super().__init__(concurrency=2, runtime="process", UV_OFFLINE="1")
        for name in [name for name in self.environ if name.startswith("UV_") and name != "UV_OFFLINE"]:
            del self.environ[name]
        self.shelf, index = self.folder / "shelf", self.folder / "index"
        self.shelf.mkdir()
        index.mkdir()
        for needed in ("uvicorn", "click", "h11"):
            wheel_of(needed, self.shelf)
        self.environ.update(UV_FIND_LINKS=str(self.shelf), UV_DEFAULT_INDEX=index.as_uri())
        self.own_port, self.public_port = free_port(), free_port()

    def upgrade(self, number: int) -> None:
        """Bring both apps to their next version."""
        version = f"1.{number}"
        app_wheel(self.shelf, version, modules(version, _MODULES), requires=("uvicorn",))
        script = "[console_scripts]\npushed = pushed:main\n"
        deploy.wheel(self.shelf, "pushed", {"pushed.py": pushed.APP}, scripts=script, version=version)
        self.write(
            "shop",
            f'name: shop\nversion: "{version}"\nrun: {{app: "shop.web:app"}}\nupgrade: {{strategy: hot_reload}}\n'
            f"health: {{port: {self.own_port}, path: /}}\n",
        )
        self.write(
            "pushed",
            f'name: pushed\nversion: "{version}"\nexpose: {{port: {self.public_port}}}\nhealth: {{path: /}}\n'
            "upgrade: {strategy: blue_green}\n",
        )
        self.commit()
        record = self.synced()
        assert record["counts"] == {"ok": 2}, record
        for path in self.shelf.glob(f"*-1.{number - 1}-*.whl"):
            path.unlink()

    def left(self) -> Left:
        """What there is now, when all is quiet."""
        self.idle()
        until(lambda: not self._draining(), 0.05)
        own = strays.find(self.home)
        worker = psutil.Process(self.processes["worker"].pid)
        workers = [worker, *worker.children()]
        listening = {
            one.laddr.port
            for process in own
            for one in process.net_connections(kind="tcp")
            if one.status == psutil.CONN_LISTEN
        }
        shop = next(process for process in own if process.environ().get("CELERIAC_APP") == "shop")
        return Left(
            processes=len(own) + len(workers),
            ports=len(listening),
            files=sum(process.num_fds() for process in [*own, *workers]),
            releases=sum(1 for path in self.home.glob("apps/*/releases/*") if path.is_dir()),
            keys=int(self.parts.store.client.dbsize()),
            worker=sum(_memory(process) for process in workers),
            host=_memory(shop),
        )

    def end(self) -> None:
        """End everything."""
        self.kill("beat")
        self.kill("worker")
        self.stop_apps()
        strays.end(strays.find(self.home), grace=0)

    def _draining(self) -> bool:
        """Whether an old generation is still there: both apps have one folder each when they are done."""
        sides = [path for path in self.home.glob("apps/*/*") if path.name in ("blue", "green")]
        return len(sides) > 2


def _memory(process: psutil.Process) -> int:
    """Its resident memory. What it copies of pages that it shares with others was so before: that is no growth."""
    return int(process.memory_info().rss)


def soak(upgrades: int) -> list[Left]:
    """Upgrade both apps `upgrades` times in all; what there was after each part of them."""
    rounds = max(upgrades // 2, _PARTS)
    found: list[Left] = []
    with Soak() as place:
        try:
            place.begin()
            place.upgrade(0)
            for number in range(1, rounds + 1):
                place.upgrade(number)
                if number * _PARTS // rounds > len(found):
                    found.append(place.left())
                    print(f"{2 * number} upgrades: {found[-1]}", file=sys.stderr, flush=True)
        finally:
            place.end()
    return found


def rows(found: Sequence[Left], upgrades: int) -> list[Row]:
    """What grew after the first fifth. Counts may not be more in the end than at any moment since."""
    warm, last = found[_WARM - 1 : -1], found[-1]
    counts = []
    for name in ("processes", "ports", "files", "releases", "keys"):
        more = max(0, getattr(last, name) - max(getattr(one, name) for one in warm))
        title = f"{upgrades} upgrades: {name} more than before"
        counts.append(Row(title, more, "n", 0, note=f"{getattr(last, name)} in the end"))
    memory = [
        Row(
            f"{upgrades} upgrades: memory of the {name} by that after a fifth",
            getattr(last, name) / getattr(found[_WARM - 1], name), "x", _GROWTH,
            tuple(getattr(one, name) / getattr(found[_WARM - 1], name) for one in found),
            f"{getattr(last, name) / 2**20:.0f} MB in the end",
        )
        for name in ("worker", "host")
    ]  # fmt: skip
    return [*counts, *memory]


def main(arguments: Sequence[str]) -> int:
    """Do it and show what is left; 1 when something is."""
    upgrades = int(arguments[0]) if arguments else UPGRADES
    made = rows(soak(upgrades), upgrades)
    show(made)
    return 0 if all(row.ok for row in made) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
