"""Each release has an environment of its own, of which uv makes the first."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from sources import environments
from sources.environments import make_venv
from sources.workshop import Workshop


@pytest.fixture
def place(home: Path) -> Path:
    for name in ("locks", "cache/uv"):
        (home / name).mkdir(parents=True, exist_ok=True)
    return home


def made(home: Path, name: str) -> Path:
    (home / name).mkdir()
    workshop = Workshop(home, home / name, deadline=time.monotonic() + 60)
    make_venv(workshop)
    return workshop.venv


def blanks(home: Path) -> list[Path]:
    return list((home / "cache" / "venv").iterdir())


def works(venv: Path) -> bool:
    code = "import sys; print(sys.prefix)"
    done = subprocess.run([str(venv / "bin" / "python"), "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip() == str(venv)


def test_each_has_its_own_settings_and_code_and_no_lock_in_common(place: Path) -> None:
    one, two = made(place, "one"), made(place, "two")
    assert works(one)
    assert works(two)
    assert not (one / ".lock").exists()
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    assert not any((one / name).samefile(two / name) for name in files)
    (one / "lib").rename(one / "gone")
    assert works(made(place, "three"))


def test_activating_one_leads_to_that_one(place: Path) -> None:
    made(place, "one")
    two = made(place, "two")
    command = f". {two}/bin/activate && python -c 'import sys; print(sys.prefix)'"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(two)


@pytest.mark.parametrize("what", ["bin", "pyvenv.cfg"])
def test_a_damaged_one_is_made_anew(place: Path, what: str) -> None:
    made(place, "one")
    (blank,) = blanks(place)
    damaged = blank / what
    shutil.rmtree(damaged) if damaged.is_dir() else damaged.unlink()
    assert works(made(place, "two"))


def test_one_that_was_made_by_halves_goes(place: Path) -> None:
    (place / "cache" / "venv" / ".part" / "bin").mkdir(parents=True)
    assert works(made(place, "one"))
    (blank,) = blanks(place)
    assert works(blank)


def test_many_at_once_make_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    real = environments.run_uv
    monkeypatch.setattr(environments, "run_uv", lambda *given, **more: (calls.append(given), real(*given, **more)))
    venvs: list[Path] = []
    threads = [threading.Thread(target=lambda n=n: venvs.append(made(place, f"app{n}"))) for n in range(6)]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(venvs) == 6
    assert all(works(venv) for venv in venvs)
