"""An app moves between a process of its own and the shared one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from lodgers import Lodgers, host_pid
from waiting import is_running, wait_for

from runtimes import ports, strays
from runtimes.base import RuntimeFailure
from runtimes.process import ProcessRuntime
from specs.model import Isolation


def test_an_app_moves_between_embedded_and_process_both_ways(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path
) -> None:
    runtime.deploy(lodgers.spec("one", isolation="process"))
    own = lodgers.get("one")["pid"]
    assert host_pid(home) == 0
    state = runtime.upgrade(lodgers.spec("one"), "1.0")
    assert (state.isolation, state.status) == ("embedded", "running")
    assert lodgers.get("one")["pid"] == host_pid(home) != own
    assert not is_running(own)
    pid = host_pid(home)
    state = runtime.upgrade(lodgers.spec("one", isolation="process"), "1.0")
    assert (state.isolation, lodgers.get("one")["pid"]) == ("process", state.pid)
    assert not is_running(pid)
    assert [process.pid for process in strays.find(home)] == [state.pid]


def test_a_move_that_fails_is_rolled_back_by_its_caller(runtime: ProcessRuntime, lodgers: Lodgers, home: Path) -> None:
    lodgers.modules["one", "1.1"] = {"web": "import threading\nraise ValueError('not as a guest')\n"}
    old = lodgers.spec("one", isolation="process")
    runtime.deploy(old)
    with pytest.raises(RuntimeFailure):
        runtime.upgrade(lodgers.spec("one", "1.1"), "1.0")
    state = runtime.upgrade(old, "1.1")
    assert (state.isolation, state.health) == ("process", "healthy")
    assert host_pid(home) == 0


_DIE = """
    import os, signal, sys
    sys.path[:0] = [{root!r}, {support!r}]
    from pathlib import Path
    from lodgers import ASGI, Lodgers
    from runtimes.applied import AppliedStore
    from runtimes.guests import Guests
    from runtimes.process import ProcessRuntime
    from runtimes.starting import Starter
    from runtimes.supervisord import Supervisor

    def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
    def after(owner, name):
        real = getattr(owner, name)
        def wrapped(*arguments, **options):
            real(*arguments, **options)
            die()
        setattr(owner, name, wrapped)

    lodgers = Lodgers(Path({home!r}), ports={ports!r})
    runtime = ProcessRuntime(lodgers.context())
    {dying}
    runtime.upgrade(lodgers.spec("one", "1.1", isolation={isolation!r}), "1.0")
"""


@pytest.mark.parametrize(
    ("then", "dying"),
    [
        ("embedded", "after(Supervisor, 'stop')"),
        ("embedded", "after(AppliedStore, 'put')"),
        ("embedded", "after(Guests, 'ensure')"),
        ("embedded", "after(Supervisor, 'start')"),
        ("embedded", "Starter.proved = die"),
        ("process", "after(Supervisor, 'stop')"),
        ("process", "Starter.start = die"),
        ("process", "Guests.settle = die"),
    ],
)
def test_a_move_that_was_killed_is_finished_by_the_next_sync(
    runtime: ProcessRuntime, lodgers: Lodgers, home: Path, then: Isolation, dying: str
) -> None:
    runtime.deploy(lodgers.spec("two"))
    runtime.deploy(lodgers.spec("one", isolation="process" if then == "embedded" else "embedded"))
    root, support = Path(__file__).parents[3], Path(__file__).parents[2] / "support"
    program = textwrap.dedent(_DIE).format(
        root=str(root), support=str(support), home=str(home), ports=lodgers.ports, dying=dying, isolation=then
    )
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    os.kill(host_pid(home), signal.SIGKILL)  # and the shared process with it
    runtime.revive()
    state = runtime.upgrade(lodgers.spec("one", "1.1", isolation=then), "1.0")
    assert (state.isolation, state.version, state.health) == (then, "1.1", "healthy")
    told = lodgers.get("one")
    assert (told["code"], told["pid"] == host_pid(home)) == ("1.1", then == "embedded")
    assert [process.pid for process in strays.find(home, "one")] == [state.pid]
    wait_for(lambda: ports.is_open(lodgers.ports["two"]))
    assert lodgers.get("two")["pid"] == host_pid(home)
