"""Manifests, environments and the link that says which are in force: whole, private, and right after every death."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.applied import ENV, LIVE, MANIFEST, UPSTREAM, Applied, AppliedStore, Previous, encode_env
from runtimes.sides import SIDES, Side
from specs.model import Expose, Health

ROOT = Path(__file__).parents[2]
WEB = Applied(
    "web", "1.0", "r-e-d", "/srv/releases/1.0-r", {"main": ("python", "-m", "web")}, "n1", "ab", "/e", "", "/p",
    health=Health(port=80), expose=Expose(80, "shop.localhost"), port=20001, reloaded={"main": "7:8"},
    previous=Previous("0.9", "q-e-d", "/old"),
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> AppliedStore:
    return AppliedStore(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_first_generation_is_in_force_at_once_by_the_names_that_never_change(
    store: AppliedStore, tmp_path: Path
) -> None:
    store.put_env("web", {"A": "1"})
    assert store.put(WEB) == WEB == store.get("web") == store.get("web", "blue") == AppliedStore(tmp_path).get("web")
    folder = store.folder("web")
    assert names(folder) == [MANIFEST, "blue", ENV, LIVE]
    assert [(folder / name).readlink() for name in (LIVE, MANIFEST, ENV)] == [
        Path("blue"), Path("live/applied.json"), Path("live/env"),
    ]  # fmt: skip
    assert {(folder / "blue" / name).stat().st_mode & 0o777 for name in (MANIFEST, ENV)} == {0o600}
    assert (folder / "blue").stat().st_mode & 0o777 == 0o700


def test_another_generation_changes_nothing_until_it_goes_live_and_then_everything(store: AppliedStore) -> None:
    green = replace(WEB, version="2.0", side="green")
    for applied, env in ((WEB, {"A": "1"}), (green, {"A": "2"})):
        store.put_env("web", env, applied.side)
        store.put(applied)
        store.put_upstream("web", applied.side, applied.version)
    assert (store.get("web"), store.env("web"), store.upstream("web")) == (WEB, {"A": "1"}, "1.0")
    assert (store.live_side("web"), store.standing_by("web")) == ("blue", "green")
    before = store.env_sha256("web")
    store.go_live("web", "green")
    assert (store.get("web"), store.env("web"), store.upstream("web")) == (green, {"A": "2"}, "2.0")
    assert (store.live_side("web"), store.standing_by("web")) == ("green", "blue")
    assert store.env_sha256("web") != before
    assert json.loads((store.folder("web") / MANIFEST).read_bytes())["version"] == "2.0"


def test_what_another_process_wrote_is_seen_and_what_nobody_wrote_is_not_read_again(
    store: AppliedStore, tmp_path: Path
) -> None:
    other = AppliedStore(tmp_path)
    store.put(WEB)
    found = other.get("web")
    assert other.get("web") is found
    for number in range(200):
        store.put(replace(WEB, message=f"{number:03}"))
        seen = other.get("web")
        assert seen is not None
        assert seen.message == f"{number:03}"
    store.drop("web")
    assert other.get("web") is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"{}", b'{"name": 1}'])
def test_a_manifest_or_environment_that_cannot_be_read_is_none(store: AppliedStore, content: bytes) -> None:
    store.put_env("web", {"A": "1"})
    store.put(WEB)
    (store.folder("web") / "blue" / MANIFEST).write_bytes(content)
    (store.folder("web") / "blue" / ENV).write_bytes(content)
    (store.folder("web") / "blue" / UPSTREAM).write_bytes(b"\xff")
    assert (store.get("web"), store.all(), store.env("web"), store.upstream("web")) == (None, {}, {}, "")
    assert store.put(WEB) == store.get("web")


def test_of_apps_that_are_half_there_none_is_made_up(store: AppliedStore, tmp_path: Path) -> None:
    assert (store.all(), store.get("web"), store.env("web"), store.env_sha256("web")) == ({}, None, {}, "")
    assert (store.live_side("web"), store.standing_by("web")) == (None, None)
    store.put(WEB)
    (tmp_path / "apps" / "a-file").write_text("")
    (tmp_path / "apps" / "empty").mkdir()
    (tmp_path / "apps" / os.fsdecode(b"\xff")).mkdir()
    (tmp_path / "apps" / "astray").mkdir()
    (tmp_path / "apps" / "astray" / LIVE).symlink_to("/etc")
    assert store.all() == {"web": WEB}
    assert store.live_side("astray") is None


def test_dropping_takes_the_environment_and_leaves_releases_and_data(store: AppliedStore) -> None:
    for side in SIDES:
        store.put_env("web", {"SECRET": "x"}, side)
        store.put(replace(WEB, side=side))
    for name in ("data", "releases"):
        (store.folder("web") / name).mkdir()
    store.drop_side("web", "green")
    assert (store.standing_by("web"), store.get("web")) == (None, WEB)
    store.drop("web")
    store.drop("web")
    store.drop("never-was")
    assert names(store.folder("web")) == ["data", "releases"]


def test_one_that_was_killed_in_the_middle_of_going_live_is_mended_by_the_next(store: AppliedStore) -> None:
    store.put_env("web", {"A": "1"})
    store.put(WEB)
    folder = store.folder("web")
    for name in (MANIFEST, ENV):
        (folder / name).unlink()
    (folder / "live.1-2.tmp").symlink_to("green")
    store.put(replace(WEB, phase="running"))
    assert [(folder / name).readlink() for name in (MANIFEST, ENV)] == [Path(LIVE, MANIFEST), Path(LIVE, ENV)]
    store.go_live("web", "blue")
    assert names(folder) == [MANIFEST, "blue", ENV, LIVE]


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from runtimes.applied import AppliedStore
store = AppliedStore(Path(sys.argv[1]))
left = int(sys.argv[2])
def dying(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call
for name in ("replace", "symlink", "unlink", "open"):
    setattr(os, name, dying(getattr(os, name)))
store.put_env("web", {"A": "2"}, "green")
store.put(replace(store.get("web"), version="2.0", side="green"))
store.go_live("web", "green")
"""


def test_whoever_is_killed_anywhere_leaves_one_generation_whole_in_force(store: AppliedStore, tmp_path: Path) -> None:
    store.put_env("web", {"A": "1"})
    store.put(WEB)
    found = set()
    for calls in range(1, 30):
        argv = [sys.executable, "-c", KILLED, str(tmp_path), str(calls)]
        done = subprocess.run(argv, cwd=ROOT, check=False)
        live = store.get("web")
        assert live is not None
        found.add((live.version, store.env("web")["A"]))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert found == {("1.0", "1"), ("2.0", "2")}
    assert names(store.folder("web")) == [MANIFEST, "blue", ENV, "green", LIVE]


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
def test_equal_environments_are_equal_files_that_say_the_same(env: dict[str, str]) -> None:
    content = encode_env(env)
    assert json.loads(content) == env
    assert content == encode_env(dict(reversed(env.items())))


def test_the_hash_of_an_environment_is_that_of_its_file_and_follows_it(store: AppliedStore) -> None:
    told = store.put_env("web", {"A": "1", "B": "é\n"})
    store.put(WEB)
    path = store.folder("web") / ENV
    assert told == store.env_sha256("web") == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"{}")
    assert store.env_sha256("web") != told
    path.unlink()
    assert store.env_sha256("web") == store.env_sha256("web") != told


@pytest.mark.parametrize(
    ("health", "expose", "asked"),
    [
        (None, None, 0),
        (Health(type="custom", port=80), Expose(80), 0),
        (Health(port=80), Expose(80), 20001),
        (Health(port=81), Expose(80), 81),
        (Health(type="tcp", port=80), None, 80),
    ],
)
def test_a_health_check_never_asks_the_public_port(health: Health | None, expose: Expose | None, asked: int) -> None:
    assert replace(WEB, health=health, expose=expose).health_port == asked


def test_only_what_ran_well_is_remembered_as_what_was_before() -> None:
    running = replace(WEB, phase="running", revision="c0ffee").as_previous()
    assert running == Previous("1.0", "r-e-d", "/srv/releases/1.0-r", "c0ffee")
    assert replace(WEB, phase="failed").as_previous() == WEB.previous
    assert (WEB.release_id, WEB.upstream, str(WEB.parts)) == ("1.0-r", "127.0.0.1:20001", "r-e-d")


@pytest.mark.parametrize("side", SIDES)
def test_an_upstream_that_is_the_same_is_not_written_again(store: AppliedStore, side: Side) -> None:
    store.put(replace(WEB, side=side))
    assert store.upstream("web", side) == ""
    store.put_upstream("web", side, "127.0.0.1:1")
    before = (store.side_folder("web", side) / UPSTREAM).stat().st_ino
    store.put_upstream("web", side, "127.0.0.1:1")
    assert (store.side_folder("web", side) / UPSTREAM).stat().st_ino == before
    assert store.upstream("web") == "127.0.0.1:1"
