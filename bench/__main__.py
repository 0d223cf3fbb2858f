"""`python -m bench [--quick] [NAME ...]`: run the benchmarks (all, or those named), print a table, keep the numbers.

Real worker, real Redis, real git. Numbers are medians of seven (quick: three). Exit code 1 when a budget is missed.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence

from bench import blue_green, deploy, first_sync, healing, hot_reload, idle, memory, one_change, parallel, rollback
from bench.measure import FULL, QUICK, Scale
from bench.table import Row, show, write

ALL: dict[str, Callable[[Scale], Sequence[Row]]] = {
    "idle": idle.measure,
    "one_change": one_change.measure,
    "first_sync": first_sync.measure,
    "parallel": parallel.measure,
    "deploy": deploy.measure,
    "rollback": rollback.measure,
    "healing": healing.measure,
    "blue_green": blue_green.measure,
    "memory": memory.measure,
    "hot_reload": hot_reload.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="bench", description="How fast Celeriac is.")
    parser.add_argument("--quick", action="store_true", help="medians of three")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; default: all")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in ALL]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(ALL)}")
    rows: list[Row] = []
    for name in options.names or ALL:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += ALL[name](QUICK if options.quick else FULL)
    show(rows)
    print(f"kept in {write(rows, quick=options.quick)}")
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    # Ended by a time limit, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
