"""`celeriac up` in the foreground: one at a time, and a killed one holds nothing back."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from celeriac.settings import Settings
from cli.commands.up import _in_front, _terminations

ROOT = Path(__file__).parents[3]


def test_a_second_one_is_not_alone_and_the_next_after_the_first_is(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with _in_front(settings) as first:
        assert first
        with _in_front(settings) as second:
            assert not second
    with _in_front(settings) as third:
        assert third


def test_a_killed_one_holds_nothing_back(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from celeriac.settings import Settings\n"
        "from cli.commands.up import _in_front\n"
        "with _in_front(Settings(home=Path(sys.argv[1]))) as alone: print(alone, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"True\n"
        with _in_front(Settings(home=tmp_path)) as alone:
            assert not alone
        child.kill()
    with _in_front(Settings(home=tmp_path)) as alone:
        assert alone


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_ended_from_outside_is_like_ctrl_c(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), _terminations():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before
