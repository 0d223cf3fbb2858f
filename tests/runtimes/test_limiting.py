"""The limits on a process: what no control group can hold is held in another way, and the app starts all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from runtimes import limiting
from runtimes.limits import far_bound

LIMIT = 64_000_000

# Takes places that the kernel refuses, then tells what holds it.
CHILD = """
import json, os, resource, sys
sys.path.insert(0, sys.argv[1])
from runtimes.limiting import take
from runtimes.limits import Group, GroupName, Place
bad = Group(sys.argv[3], 1, ("memory", "cpu"), True)
places = [Place("memory", bad), Place("cpu", bad)]
taken = take(places, sys.argv[2], GroupName("ab", "web", "main", "1-1"), 64000000, 0.5)
print(json.dumps({"by": [one.mechanism for one in taken], "data": resource.getrlimit(resource.RLIMIT_DATA),
                  "cpus": len(os.sched_getaffinity(0))}))
"""


def test_what_the_kernel_refuses_falls_back_and_is_said_in_the_log(tmp_path: Path) -> None:
    refuses = tmp_path / "file"
    refuses.touch()
    argv = [sys.executable, "-I", "-S", "-c", CHILD, str(Path(limiting.__file__).parents[1]), str(tmp_path)]
    done = subprocess.run([*argv, str(refuses)], capture_output=True, text=True, check=True)
    said, answer = done.stdout.splitlines()
    assert said.startswith("celeriac: no control group for memory and cpu: ")
    assert said.endswith("Not a directory")
    found: dict[str, Any] = json.loads(answer)
    assert found == {"by": ["rlimit", "affinity"], "data": [far_bound(LIMIT)] * 2, "cpus": 1}


def test_what_runs_away_between_two_looks_gets_no_more_than_the_far_bound(tmp_path: Path) -> None:
    script = CHILD + "\ntry:\n    x = bytearray(700_000_000)\nexcept MemoryError:\n    print('refused')\n"
    argv = [sys.executable, "-I", "-S", "-c", script, str(Path(limiting.__file__).parents[1]), str(tmp_path)]
    done = subprocess.run([*argv, str(tmp_path / "nowhere" / "at-all")], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "refused"
