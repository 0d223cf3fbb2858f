"""Private ports are nobody else's, whoever chooses at the same time, and free again when their app is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from runtimes import private_ports
from runtimes.private_ports import candidates, lease

HOLD = """
import sys, time
from pathlib import Path
from runtimes.private_ports import lease
with lease(Path(sys.argv[1])) as mine:
    print(mine.port, flush=True)
    time.sleep(60)
"""


def test_ports_that_the_kernel_gives_away_by_itself_are_not_chosen() -> None:
    low, high = private_ports._ephemeral()
    assert not any(low <= port <= high for port in candidates())


def test_two_that_choose_at_once_get_two_ports_and_a_killed_one_leaves_its_own(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOLD]
    root = Path(__file__).parents[2]
    holders = [
        subprocess.Popen([*argv, str(tmp_path / name)], stdout=subprocess.PIPE, text=True, cwd=root) for name in "abc"
    ]
    ports = [int(one.stdout.readline()) for one in holders if one.stdout]
    assert len(set(ports)) == 3
    with lease(tmp_path / "d") as mine:
        assert mine.port not in ports
    for one in holders:
        os.kill(one.pid, signal.SIGKILL)
        one.communicate()
    with lease(tmp_path / "e") as again:
        assert again.port in {*ports, mine.port} or again.port < max(ports)


def test_a_port_stays_with_the_manifest_that_says_so(tmp_path: Path) -> None:
    manifest = tmp_path / "applied.json"
    with lease(manifest) as mine:
        manifest.write_text(json.dumps({"port": mine.port}))
    with lease(tmp_path / "other") as other:
        assert other.port != mine.port
    assert private_ports._has(manifest, mine.port)
    manifest.write_text(json.dumps({"port": 1}))
    assert not private_ports._has(manifest, mine.port)


def test_a_port_that_somebody_listens_on_is_not_chosen(tmp_path: Path) -> None:
    with lease(tmp_path / "first") as first:
        pass
    with socket.socket() as held:
        held.bind(("127.0.0.1", first.port))
        held.listen()
        with lease(tmp_path / "second") as second:
            assert second.port != first.port
