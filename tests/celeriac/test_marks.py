"""Processes are found by whole marks, among real ones."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_for

from celeriac.marks import marked_pids

MARK = f"MARK={uuid.uuid4().hex}"
CODE = "import subprocess, sys; print('up', flush=True); subprocess.run([sys.executable, '-c', 'input()'])"


@pytest.fixture
def marked() -> Iterator[int]:
    """A process with two marks and an odd byte in its environment, and a child that inherits them."""
    env = {**dict([MARK.split("=")]), "LAST": "x=y", os.fsdecode(b"ODD"): os.fsdecode(b"\xff")}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", CODE], env=env, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process.pid  # its child ends with its input


def test_a_process_and_what_it_started_are_found_by_every_mark(marked: int) -> None:
    wait_for(lambda: len(marked_pids([MARK])) == 2)
    assert marked in marked_pids([MARK, "LAST=x=y", os.fsdecode(b"ODD=\xff")])
    assert marked_pids([MARK, "LAST=other"]) == []


@pytest.mark.parametrize(
    "part",
    [MARK[:-1], MARK[1:], f"{MARK}\n", MARK.lower(), MARK.partition("=")[2]],
    ids=["without its end", "without its beginning", "with more", "in small letters", "its value alone"],
)
def test_a_part_of_a_mark_is_none(marked: int, part: str) -> None:
    assert marked_pids([part]) == []


def test_it_is_quick_to_import_since_every_start_of_an_app_waits_for_it() -> None:
    code = (
        "import os, sys; before = set(sys.modules); import celeriac.marks; "
        "print(*sorted(set(sys.modules) - before - {'celeriac', 'celeriac.marks'}))"
    )
    argv = [sys.executable, "-S", "-c", code]
    done = subprocess.run(argv, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.split() in ([], ["__future__"])


def test_a_process_that_has_just_become_another_program_is_found() -> None:
    environ = {**os.environ, **dict([MARK.split("=")])}
    for _ in range(200):
        process = subprocess.Popen(["sleep", "600"], env=environ)
        try:
            assert process.pid in marked_pids([MARK])
        finally:
            process.kill()
            process.wait()
