"""Which processes count as one app's, and how much memory they use. Looks at apps: see test_memory_limits."""

from __future__ import annotations

import os
import subprocess
import sys

from runtimes.memory_watch import Usage, own_share, tree, usages


def test_children_and_those_whose_parents_ended_count_and_neighbours_do_not() -> None:
    table = {
        1: Usage(0, 1, 1),
        10: Usage(1, 10, 1),  # the app
        11: Usage(10, 10, 1),
        12: Usage(11, 12, 1),  # in a session of its own
        13: Usage(1, 10, 1),  # its parent has ended
        20: Usage(1, 20, 1),  # a neighbour
        21: Usage(20, 20, 1),
    }
    assert tree(10, table) == {10, 11, 12, 13}
    assert tree(99, table) == set()


def test_what_processes_use_is_read_from_the_machine() -> None:
    script = "kept = b'x' * 50_000_000\nprint(1, flush=True)\nimport time; time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        found = usages()[child.pid]
        assert found.parent == os.getpid()
        assert 50_000_000 < found.resident < 150_000_000
        assert 50_000_000 < own_share(child.pid, 0) <= found.resident + 2**20
    finally:
        child.kill()
        child.communicate()
    assert own_share(child.pid, 7) == 0, "it has ended"
