"""A release is complete or absent, whatever happens."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hosting import wheel_of

from celeriac.errors import MisuseError
from celeriac.process import CommandCancelledError
from sources import BuildFailed, SourceFailure, build, read_manifest, releases, resolve_processes
from sources.lock import locked
from sources.releases import BUILD_MARK
from specs.digest import release_id
from specs.model import AppSpec, Run, Source

ROOT = Path(__file__).parents[2]
SPEC = AppSpec("shop", "1.0")

BUILDER = """
import sys
from pathlib import Path
from sources import build
from specs.model import AppSpec, Source
url, sha256, home = sys.argv[1:]
print(build(AppSpec("shop", "1.0", source=Source(type="release", url=url, sha256=sha256)), Path(home)))
"""


def _gated(bench: Any) -> tuple[AppSpec, Path, Path]:
    """A spec whose build says `started` and then waits for `go`."""
    started, go = bench.folder / "started", bench.folder / "go"
    path = bench.tar(bench.project() | {"gate.txt": f"{started} {go}"})
    source = Source(type="release", url=path.as_uri(), sha256=bench.sha256(path))
    return AppSpec("shop", "1.0", source=source), started, go


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def _names(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "apps/shop/releases").iterdir())


def test_a_release_has_its_id_its_environment_and_its_manifest(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0")
    phases: list[str] = []
    release = build(SPEC, home, report=phases.append)
    assert release == home / "apps/shop/releases" / release_id(SPEC)
    assert sorted(path.name for path in release.iterdir()) == ["files.json", "release.json", "venv"]
    assert phases == ["fetching", "building"]
    manifest = read_manifest(release)
    assert manifest is not None
    assert (manifest.app, manifest.version, manifest.release) == ("shop", "1.0", release.name)
    assert manifest.python == ".".join(map(str, sys.version_info[:3]))
    assert [found.path for found in releases(home, "shop")] == [release]


def test_a_release_that_is_there_is_returned_at_once(bench: Any, home: Path) -> None:
    wheel = bench.wheel("shop", "1.0")
    release = build(SPEC, home)
    wheel.unlink()
    before = release.stat().st_mtime_ns
    changed = AppSpec("shop", "1.0", env={"A": "1"}, run=Run({"main": ("x",)}))  # neither is a matter of building
    assert build(changed, home, report=pytest.fail) == release
    assert release.stat().st_mtime_ns == before


HYPERCORN = ("hypercorn", "h11", "h2", "hpack", "hyperframe", "priority", "wsproto")


def test_a_hosted_app_that_brings_no_server_gets_one_beside_it(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0")
    for name in HYPERCORN:
        wheel_of(name, bench.folder / "shelf")
    hosted = AppSpec("shop", "1.0", run=Run(app="shop:app"))
    release, plain = build(hosted, home), build(SPEC, home)
    assert release != plain
    manifest, other = read_manifest(release), read_manifest(plain)
    assert manifest is not None
    assert other is not None
    assert manifest.server == "hypercorn"
    assert {one.partition("==")[0] for one in manifest.packages} == {"shop", *HYPERCORN}
    assert (other.server, other.packages) == ("", ("shop==1.0",))
    command = resolve_processes(hosted, release)["main"]
    assert command[3:] == ("--servers", "hypercorn", "shop:app")


def test_a_hosted_app_that_brings_a_server_gets_no_other(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0", requires=("waitress",))
    wheel_of("waitress", bench.folder / "shelf")
    manifest = read_manifest(build(AppSpec("shop", "1.0", run=Run(app="shop:app")), home))
    assert manifest is not None
    assert manifest.server == ""


def test_without_a_server_to_be_had_there_is_no_release_and_the_failure_says_what_was_wanted(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    bench.wheel("shop", "1.0")
    with pytest.raises(SourceFailure, match="hypercorn, since it brings no server for shop:app"):
        build(AppSpec("shop", "1.0", run=Run(app="shop:app")), home)
    nothing_left("shop")


def test_scripts_and_modules_work_after_the_rename_and_from_a_moved_home(
    bench: Any, home: Path, tmp_path: Path
) -> None:
    wheel = bench.wheel("shop", "1.0", files={"shop/__init__.py": "import sys\ndef main(): print(sys.prefix)\n"})
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("shop/__main__.py", "from shop import main\nmain()\n")
        archive.writestr("shop-1.0.data/scripts/shop-old", "#!python\nimport sys\nprint(sys.prefix)\n")
    release = build(SPEC, home)
    for place in (release, tmp_path / "elsewhere"):
        if not place.exists():
            release.rename(place)
        for argv in (["shop"], ["shop-old"], ["python", "-m", "shop"]):
            done = subprocess.run(
                [place / "venv/bin" / argv[0], *argv[1:]], env={}, capture_output=True, text=True, check=True
            )
            assert done.stdout.strip() == str(place / "venv")


def test_scripts_work_through_the_link_to_the_current_release(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0")
    release = build(SPEC, home)
    current = home / "apps/shop/current"
    current.symlink_to(f"releases/{release.name}")
    done = subprocess.run([current / "venv/bin/shop"], env={}, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(str(release / "venv"))


def test_nothing_of_the_home_folder_can_be_written_by_others(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0")
    before = os.umask(0)
    try:
        release = build(SPEC, home)
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / "cache/uv").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "cache/git").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "locks").stat().st_mode) == 0o700
    assert stat.S_IMODE(release.stat().st_mode) == 0o755
    assert not (release / "venv/.lock").exists()


def test_the_environments_interpreter_is_the_base_one_and_isolated_from_ours(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0")
    release = build(SPEC, home)
    python = release / "venv/bin/python"
    done = subprocess.run([python, "-c", "import msgspec"], env={}, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in done.stderr
    assert not Path(os.path.realpath(python)).is_relative_to(sys.prefix)


def test_two_builders_at_once_make_one_release(bench: Any, home: Path) -> None:
    spec, started, go = _gated(bench)
    phases: list[str] = []
    with ThreadPoolExecutor(3) as pool:
        builds = [pool.submit(build, spec, home, report=phases.append) for _ in range(3)]
        _wait_for(started.exists)
        go.touch()
        paths = {future.result(60) for future in builds}
    assert len(paths) == 1
    assert phases == ["fetching", "building"]
    assert _names(home) == [release_id(spec)]


def test_after_kill_9_in_the_middle_of_a_build_the_next_one_works_and_cleans_up(bench: Any, home: Path) -> None:
    spec, started, go = _gated(bench)
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILDER, spec.source.url, spec.source.sha256, str(home)], cwd=ROOT
    )
    try:
        _wait_for(started.exists)
        builder.send_signal(signal.SIGKILL)
        builder.wait(30)
        assert len(_names(home)) == 1
        assert _names(home)[0].startswith(".building-")
        assert releases(home, "shop") == []
        go.touch()
        release = build(spec, home)
    finally:
        go.touch()
        builder.kill()
        builder.wait()
    assert _names(home) == [release.name]
    subprocess.run([release / "venv/bin/shop"], check=True, capture_output=True)


def test_what_a_killed_build_has_started_is_ended_before_the_next(bench: Any, home: Path) -> None:
    """uv dies with the task that ran it, a build backend that uv started does not."""
    spec, _, go = _gated(bench)
    folder = home / "apps" / "shop" / "releases" / ".building-1.0-1-ab"
    folder.mkdir(parents=True)
    environ = {**os.environ, BUILD_MARK: str(folder)}
    backend = subprocess.Popen(["sleep", "600"], env=environ, start_new_session=True)
    try:
        go.touch()
        assert build(spec, home).is_dir()
        assert backend.wait(30) == -signal.SIGKILL
        assert not folder.exists()
    finally:
        backend.kill()
        backend.wait()


def test_a_build_that_is_no_longer_wanted_stops_and_leaves_nothing(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    spec, started, go = _gated(bench)
    with pytest.raises(CommandCancelledError):
        build(spec, home, cancelled=started.exists)
    go.touch()
    nothing_left("shop")


def test_a_build_that_takes_too_long_stops_and_leaves_nothing(
    bench: Any, home: Path, nothing_left: Callable[[str], None]
) -> None:
    spec, _, go = _gated(bench)
    with pytest.raises(BuildFailed) as caught:
        build(spec, home, timeout=1)
    go.touch()
    assert (caught.value.reason, caught.value.retryable) == ("BuildTimeout", True)
    nothing_left("shop")


def test_waiting_for_another_build_can_be_given_up(bench: Any, home: Path) -> None:
    spec, started, go = _gated(bench)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(build, spec, home)
        _wait_for(started.exists)
        with pytest.raises(CommandCancelledError):
            build(spec, home, cancelled=lambda: True)
        go.touch()
        assert first.result(60).exists()


def test_builds_of_two_apps_do_not_wait_for_each_other(bench: Any, home: Path) -> None:
    spec, started, go = _gated(bench)
    bench.wheel("other", "1.0")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(build, spec, home)
        _wait_for(started.exists)
        assert build(AppSpec("other", "1.0"), home).exists()
        assert not first.done()
        go.touch()
        first.result(60)


def test_half_a_release_is_built_anew(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0")
    half = home / "apps/shop/releases" / release_id(SPEC)
    (half / "venv").mkdir(parents=True)
    release = build(SPEC, home)
    assert release == half
    assert read_manifest(release) is not None
    (release / "release.json").write_text("{")
    build(SPEC, home)
    assert read_manifest(release) is not None


def test_a_home_that_cannot_be_written_is_said_and_may_be_tried_again(bench: Any, home: Path) -> None:
    home.write_text("a file, of all things")
    with pytest.raises(BuildFailed) as caught:
        build(SPEC, home)
    assert (caught.value.reason, caught.value.retryable) == ("DiskFailure", True)


def test_an_error_in_report_leaves_nothing_either(bench: Any, home: Path, nothing_left: Callable[[str], None]) -> None:
    def report(phase: str) -> None:
        raise LookupError(phase)

    with pytest.raises(LookupError):
        build(SPEC, home, report=report)
    nothing_left("shop")


@pytest.mark.parametrize("name", ["../evil", "", "a/b", ".."])
def test_a_name_that_is_none_touches_no_disk(home: Path, name: str) -> None:
    with pytest.raises(MisuseError):
        build(AppSpec(name, "1.0"), home)
    assert not home.exists()


def test_a_relative_home_gives_an_absolute_release(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.wheel("shop", "1.0")
    monkeypatch.chdir(tmp_path)
    assert build(SPEC, Path("h")).is_absolute()


def test_a_build_in_a_thread_that_ends_takes_no_other_build_with_it(bench: Any, home: Path) -> None:
    """Children die with the thread that started them, so each thread must wait for its own."""
    bench.wheel("shop", "1.0")
    failures: list[SourceFailure] = []

    def work() -> None:
        try:
            build(SPEC, home)
        except SourceFailure as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert _names(home) == [release_id(SPEC)]


def test_a_release_that_is_built_anew_for_its_damage_does_not_get_that_from_the_cache(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0")
    release = build(SPEC, home)
    (package,) = release.glob("venv/lib/python*/site-packages/shop/__init__.py")
    code = package.read_text()
    with package.open("a") as file:  # in place, so the file that uv's cache shares with it changes, too
        file.write("raise SystemExit('damaged')\n")
    aside = release.with_name(f".{release.name}.damaged")
    release.rename(aside)
    assert build(SPEC, home) == release
    assert package.read_text() == code
    assert not aside.exists()


def test_the_cache_is_not_discarded_under_another_build(bench: Any, home: Path) -> None:
    bench.wheel("shop", "1.0")
    release = build(SPEC, home)
    (package,) = release.glob("venv/lib/python*/site-packages/shop/__init__.py")
    with package.open("a") as file:
        file.write("raise SystemExit('damaged')\n")
    release.rename(release.with_name(f".{release.name}.damaged"))
    mark = home / "cache" / "uv" / "in-use"
    mark.touch()
    repair = threading.Thread(target=build, args=(SPEC, home))
    with locked(home / "locks" / "uv-cache.lock", deadline=time.monotonic() + 30, shared=True):
        repair.start()
        _wait_for(lambda: bool(list(release.parent.glob(".building-*/venv/lib/python*/site-packages/shop"))))
        repair.join(0.5)
        assert repair.is_alive()
        assert mark.exists()
    repair.join(60)
    assert not mark.exists()
    assert "damaged" not in package.read_text()
