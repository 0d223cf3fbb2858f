"""Child processes: their output, their limits, and that none is left behind."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from waiting import is_running, wait_for

from celeriac import process
from celeriac.errors import CeleriacError
from celeriac.process import (
    CommandCancelledError,
    CommandError,
    CommandMissingError,
    CommandTimeoutError,
    run,
    start_child,
    start_daemon,
)

ROOT = Path(__file__).parents[2]


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-I", "-c", code, *map(str, arguments)]


def written(path: Path) -> bool:
    return path.exists() and path.read_text().endswith("\n")


# -- run


def test_output_is_returned_and_the_tail_has_both_streams() -> None:
    done = run(python("import sys; print('out'); print('err', file=sys.stderr)"), timeout=30)
    assert done.stdout == "out\n"
    assert sorted(done.tail) == ["err", "out"]
    assert done.seconds > 0


def test_a_failure_carries_the_code_and_the_last_lines() -> None:
    with pytest.raises(CommandError, match="ended with exit code 3") as caught:
        run(python("import sys; [print(n) for n in range(99)]; sys.exit(3)"), timeout=30, tail_lines=2)
    assert caught.value.tail == ("97", "98")
    assert caught.value.returncode == 3
    assert caught.value.reason == "CommandFailed"


def test_a_child_ended_by_a_signal_is_told_as_such() -> None:
    with pytest.raises(CommandError, match="signal 15"):
        run(python("import os; os.kill(os.getpid(), 15)"), timeout=30)


def test_folder_and_environment_are_the_given_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "1")
    code = "import os; print(os.getcwd(), os.environ.get('LEAK'), os.environ.get('GIVEN'))"
    assert run(python(code), timeout=30, cwd=tmp_path, env={"GIVEN": "2"}).stdout.split() == [
        str(tmp_path),
        "None",
        "2",
    ]
    assert run(python(code), timeout=30, cwd=tmp_path).stdout.split()[1:] == ["1", "None"]


def test_standard_input_is_empty() -> None:
    assert run(python("import sys; print(repr(sys.stdin.read()))"), timeout=30).stdout == "''\n"


def test_too_much_output_is_dropped_and_does_not_block() -> None:
    done = run(python("import sys; sys.stdout.write('x' * 3_000_000)"), timeout=30, max_output=1000)
    assert done.stdout == "x" * 1000
    assert all(len(line) <= 2000 for line in done.tail)


def test_bytes_that_are_no_text_do_not_fail() -> None:
    assert run(python(r"import os; os.write(1, b'\xff\n')"), timeout=30).stdout == "\ufffd\n"


@pytest.mark.parametrize("argv", [["no-such-program-here"], ["/no/such/program"], ["/"], ["a\0b"]])
def test_a_program_that_cannot_be_started_is_told(argv: list[str], tmp_path: Path) -> None:
    for start in (lambda: run(argv, timeout=5), lambda: start_child(argv, log=tmp_path / "log")):
        with pytest.raises(CommandMissingError) as caught:
            start()
        assert argv[0] in caught.value.message
        assert isinstance(caught.value, CeleriacError)


def test_a_missing_folder_is_told_by_its_name(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    for start in (
        lambda: run(python("pass"), timeout=5, cwd=missing),
        lambda: start_child(python("pass"), log=tmp_path / "log", cwd=missing),
        lambda: start_daemon(python("pass"), log=tmp_path / "log", cwd=missing),
    ):
        with pytest.raises(CommandMissingError, match="nowhere"):
            start()


def test_timeout_ends_the_whole_group_and_keeps_what_was_said(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "print('started', flush=True)\n"
        "pathlib.Path(sys.argv[1]).write_text(f'{child.pid}\\n')\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(CommandTimeoutError, match=r"was stopped after 2s") as caught:
        run(python(code, mark), timeout=2)
    assert caught.value.tail == ("started",)
    grandchild = int(mark.read_text())
    wait_for(lambda: not is_running(grandchild))


def test_a_child_that_is_no_longer_wanted_is_stopped(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = "import os, sys, time, pathlib; pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()}\\n'); time.sleep(600)"
    with pytest.raises(CommandCancelledError, match="no longer wanted"):
        run(python(code, mark), timeout=60, cancelled=lambda: written(mark))
    wait_for(lambda: not is_running(int(mark.read_text())))


def test_an_error_in_the_question_whether_it_is_wanted_still_ends_the_child(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = "import os, sys, time, pathlib; pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()}\\n'); time.sleep(600)"

    def cancelled() -> bool:
        if written(mark):
            raise RuntimeError("asked in vain")
        return False

    with pytest.raises(RuntimeError, match="in vain"):
        run(python(code, mark), timeout=60, cancelled=cancelled)
    wait_for(lambda: not is_running(int(mark.read_text())))


def test_what_a_finished_child_left_in_its_group_neither_delays_nor_outlives_it() -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"
    done = run(python(code), timeout=60)
    assert done.seconds < 30
    wait_for(lambda: not is_running(int(done.stdout)))


def test_runs_in_many_threads_do_not_mix() -> None:
    outputs: dict[int, str] = {}

    def work(number: int) -> None:
        outputs[number] = run(["echo", str(number)], timeout=30).stdout

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {number: f"{number}\n" for number in range(8)}


@pytest.mark.parametrize("how", ["run", "light", "start_child", "library"])
def test_children_die_with_a_killed_parent(tmp_path: Path, how: str) -> None:
    mark = tmp_path / "pid"
    inner = "import os, sys, time, pathlib; pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()}\\n'); time.sleep(600)"
    calls = {
        "run": "process.run(argv, timeout=600)",
        "light": "process.run(argv, timeout=600, light=True)",
        "start_child": "process.start_child(argv, log=pathlib.Path(sys.argv[1] + '.log')).wait()",
        "library": "subprocess.Popen(argv, **process.child_options()).wait()",
    }
    code = (
        "import sys, pathlib, subprocess\nfrom celeriac import process\n"
        f"argv = [sys.executable, '-I', '-c', {inner!r}, sys.argv[1]]\n{calls[how]}\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(mark)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        wait_for(lambda: written(mark))
        child = int(mark.read_text())
        assert is_running(child)
    finally:
        parent.kill()
        parent.wait(30)
    wait_for(lambda: not is_running(child))


def test_a_light_child_is_given_its_arguments_and_tells_its_end_as_any_other(tmp_path: Path) -> None:
    words = ["a b", "$HOME", "'", '"', "$(exit 9)", "*", "", "-c"]
    code = "import json, sys; print(json.dumps(sys.argv[1:])); sys.exit(3)"
    with pytest.raises(CommandError, match="ended with exit code 3") as caught:
        run(python(code, *words), timeout=30, light=True)
    assert json.loads(caught.value.tail[-1]) == words
    with pytest.raises(CommandMissingError, match="no such program"):
        run([str(tmp_path / "missing")], timeout=30, light=True)
    with pytest.raises(CommandTimeoutError):
        run(["/bin/sleep", "600"], timeout=0.2, light=True)


def test_a_light_child_whose_parent_is_gone_does_not_begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)  # as if the one who asked for it had died, and init were its parent
        with pytest.raises(CommandError, match="exit code 1"):
            run(["/bin/touch", str(tmp_path / "begun")], timeout=30, light=True)
    assert not (tmp_path / "begun").exists()


def test_where_setpriv_knows_no_death_signal_a_light_child_is_one_like_any_other(tmp_path: Path) -> None:
    other = tmp_path / "setpriv"
    other.write_text("#!/bin/sh\necho unrecognized option; exit 1\n")
    other.chmod(0o755)
    code = (
        "import sys\nfrom celeriac import process\n"
        "print(process.run([sys.executable, '-c', 'print(1)'], timeout=60, light=True).stdout)\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_whether_it_is_still_wanted_is_asked_twice_a_second_however_much_it_prints() -> None:
    asked: list[float] = []
    run(python("for n in range(20000): print(n, flush=True)"), timeout=60, cancelled=lambda: bool(asked.append(0.0)))
    assert len(asked) < 40


# -- communicate


def echo() -> subprocess.Popen[bytes]:
    code = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer); print('x', file=sys.stderr)"
    pipe = process.PIPE
    return subprocess.Popen(python(code), stdin=pipe, stdout=pipe, stderr=pipe, **process.child_options())


def test_much_input_and_output_do_not_block_each_other() -> None:
    data = os.urandom(3_000_000)
    assert process.communicate(echo(), name="echo", timeout=30, stdin=data) == (data, b"x\n")


def test_a_library_child_that_hangs_is_ended() -> None:
    pipe = process.PIPE
    child = subprocess.Popen(["sleep", "600"], stdin=pipe, stdout=pipe, stderr=pipe, **process.child_options())
    with pytest.raises(CommandTimeoutError, match=r"git was stopped after 0\.1s"):
        process.communicate(child, name="git", timeout=0.1, stdin=b"x" * 1_000_000)
    assert child.returncode == -signal.SIGKILL


def test_a_library_child_that_reads_nothing_does_no_harm() -> None:
    pipe = process.PIPE
    child = subprocess.Popen(["true"], stdin=pipe, stdout=pipe, stderr=pipe, **process.child_options())
    assert process.communicate(child, name="true", timeout=30, stdin=b"x" * 1_000_000) == (b"", b"")
    assert child.returncode == 0


# -- start_child, start_daemon


def test_a_started_child_appends_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs/app.log"
    for text in ("one", "two"):
        assert start_child(["echo", text], log=log).wait(30) == 0
    assert log.read_text() == "one\ntwo\n"


def test_a_daemon_is_nobodys_child_and_outlives_who_started_it(tmp_path: Path) -> None:
    log = tmp_path / "logs/daemon.log"
    code = (
        "import sys, pathlib\nfrom celeriac.process import start_daemon\n"
        "print(start_daemon(['sh', '-c', 'echo up; exec sleep 600'], log=pathlib.Path(sys.argv[1])))\n"
    )
    starter = subprocess.run(
        [sys.executable, "-c", code, str(log)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    pid = int(starter.stdout)
    try:
        wait_for(lambda: written(log))
        assert log.read_text() == "up\n"
        assert is_running(pid)
        assert os.getsid(pid) == pid
        assert os.getsid(0) != pid
    finally:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_running(pid))


def test_a_daemon_has_the_given_folder_and_environment_and_no_open_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import os, sys, pathlib\n"
        "files = sorted(int(n) for n in os.listdir('/proc/self/fd'))\n"
        "text = f'{os.getcwd()} {os.environ[\"GIVEN\"]} {len([n for n in files if n > 3])}\\n'\n"
        "pathlib.Path(sys.argv[1] + '.tmp').write_text(text); os.rename(sys.argv[1] + '.tmp', sys.argv[1])\n"
    )
    start_daemon(python(code, out), log=tmp_path / "log", cwd=tmp_path, env={"GIVEN": "yes"})
    wait_for(out.exists)
    assert out.read_text().split() == [str(tmp_path), "yes", "0"]


@pytest.mark.parametrize("argv", [["no-such-program-here"], ["/no/such/program"], ["/"], ["a\0b"]])
def test_a_daemon_that_cannot_be_started_is_told(argv: list[str], tmp_path: Path) -> None:
    with pytest.raises(CommandMissingError, match="cannot be started") as caught:
        start_daemon(argv, log=tmp_path / "log")
    assert not any(character.isdigit() for character in caught.value.message.partition("started: ")[2])


def test_failed_starts_leave_no_open_files(tmp_path: Path) -> None:
    def count() -> int:
        gc.collect()  # what other tests left to the collector
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(3):
        with pytest.raises(CommandMissingError):
            start_daemon(["no-such-program-here"], log=tmp_path / "log")
        with pytest.raises(CommandMissingError):
            start_daemon(["true"], log=tmp_path / "log", cwd=tmp_path / "nowhere")
        with pytest.raises(CommandMissingError):
            run(["no-such-program-here"], timeout=5)
    assert count() == before
