"""What a worker does beside tasks: it says that its node is there, and asks for a first sync."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import CELERY, Installation
from waiting import wait_for

from celeriac import __version__
from celeriac.settings import Settings
from state.nodes import Node
from tasks.worker import node_of


def test_a_worker_says_of_its_node_what_others_place_apps_by() -> None:
    settings = Settings(home=Path("/srv"), node="n1", labels={"role": "web"}, runtime="noop")
    one, other = node_of(settings), node_of(settings)
    assert (one.name, one.labels, one.runtime, one.version, one.pid) == (
        "n1", {"role": "web"}, "noop", __version__, os.getpid(),
    )  # fmt: skip
    assert one.boot != other.boot
    assert one.started_at == one.seen_at > 0


@pytest.fixture
def here() -> Iterator[Installation]:
    """An installation in which nothing runs yet."""
    with Installation(CELERIAC_LABELS="role=web") as made:
        yield made


def test_a_worker_alone_syncs_at_once_and_says_when_it_goes(here: Installation) -> None:
    here.app("web")
    here.commit()
    here.start(beat=False)

    def node() -> Node:
        return here.engine.nodes.all()["n1"]

    assert (node().labels, node().runtime, node().alive) == ({"role": "web"}, "noop", True)
    wait_for(lambda: here.live("web") is not None)
    wait_for(lambda: here.engine.runs.current() is None)
    assert here.engine.runs.recent()[0]["trigger"] == "start"
    for pid in here.pool_children():
        assert os.getpgid(pid) == pid  # so that a hard time limit ends what its task started, too
    first = node().boot
    here.kill("worker", signal.SIGTERM)
    assert not node().alive
    here.start_worker()
    assert node().alive
    assert node().boot != first


def test_a_worker_whose_runtime_cannot_be_imported_says_so_and_ends() -> None:
    with Installation(runtime="nowhere.to_be:Found") as here:
        ended = subprocess.run(
            [*CELERY, "worker"],
            env=here.environ,
            cwd=here.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("celeriac: ")]
    assert line.startswith("celeriac: runtime 'nowhere.to_be:Found' cannot be imported from nowhere.to_be:Found: ")
    assert "is its package installed where Celeriac is" in line
    assert "Traceback" not in ended.stderr
