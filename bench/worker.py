"""The real worker with one task more, `bench.empty`: `celery -A bench.worker worker`. What an empty task costs is
measured in the same process, with the same settings, as what a sync costs.

With BENCH_PROFILE=FOLDER each pool process writes what `cProfile` saw
of its tasks BENCH_PROFILE_TASK (default: deploy) to `<FOLDER>/<pid>.prof`.
"""

from __future__ import annotations

import cProfile
import os
from itertools import count
from typing import Any

from celery import signals

from tasks.celery import app

_EVERY = int(os.environ.get("BENCH_PROFILE_EVERY", "100"))


@app.task(name="bench.empty", ignore_result=True)  # type: ignore[untyped-decorator]
def empty() -> None:
    """Do nothing."""


def _profile(folder: str) -> None:
    profile = cProfile.Profile()
    ended = count(1)

    def begin(sender: Any = None, **_: Any) -> None:
        if sender.name == os.environ.get("BENCH_PROFILE_TASK", "deploy"):
            profile.enable()

    def end(sender: Any = None, **_: Any) -> None:
        profile.disable()
        if sender.name != "bench.empty" and next(ended) % _EVERY == 0:
            profile.dump_stats(f"{folder}/{os.getpid()}.prof")

    signals.task_prerun.connect(begin, weak=False)
    signals.task_postrun.connect(end, weak=False)


if os.environ.get("BENCH_PROFILE"):
    _profile(os.environ["BENCH_PROFILE"])
