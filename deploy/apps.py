"""The supervisor of the managed apps as a service of its own: `python deploy/apps.py start|stop|run|check`.

A worker starts that supervisor where it finds none. In production something else should, so that the apps do not
belong to the worker's unit or container and go on when that is stopped: `start` and `stop` are for systemd
(Type=forking), `run` stays in the foreground for a container, `check` tells by its exit code whether it answers.
Settings are read from the environment as everywhere.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from celeriac.errors import CeleriacError
from celeriac.settings import load
from runtimes.base import RuntimeContext
from runtimes.process import ProcessRuntime
from runtimes.supervisord import Supervisor

_LOOK_EVERY = 2.0  # seconds


def run(supervisor: Supervisor) -> int:
    """Keep it running until TERM or INT, then stop the apps. One that died is started again, with its apps."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: ended.set())
    supervisor.ensure_running()
    sys.stdout.write(f"the apps' supervisor answers at {supervisor.socket}\n")
    sys.stdout.flush()
    while not ended.wait(_LOOK_EVERY):
        supervisor.ensure_running()
    supervisor.shutdown()
    return 0


def main() -> int:
    """Do what the one argument says; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run the supervisor of the managed apps.")
    parser.add_argument("action", choices=("start", "stop", "run", "check"))
    action = parser.parse_args().action
    try:
        settings = load()
        supervisor = ProcessRuntime(RuntimeContext(settings.home, settings.node)).supervisor
        if action == "run":
            return run(supervisor)
        if action == "check":
            return 0 if supervisor.running() else 1
        if action == "start":
            supervisor.ensure_running()
        else:
            supervisor.shutdown()
    except CeleriacError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
