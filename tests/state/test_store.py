"""`state.store`: keys, scripts, clock, and use on both sides of a fork."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from celeriac.settings import Settings
from state.runs import Runs
from state.steps import Step
from state.store import StateUnavailable, Store, open_store

ROOT = Path(__file__).parents[2]
FORKED = """
import os, sys
from state.lease import Leases
from state.store import Store

store = Store(sys.argv[1], sys.argv[2])
leases = Leases(store)
assert leases.acquire("parent", "parent", 30)
children, mine = [], store.client.client_id()
for number in range(4):
    pid = os.fork()
    if pid == 0:
        good = all(store.client.incr(store.key("count")) for _ in range(200))
        good = good and leases.acquire(f"child{number}", "child", 30) and store.client.client_id() != mine
        os._exit(0 if good else 1)
    children.append(pid)
assert store.client.client_id() == mine
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
assert leases.holder("parent").owner == "parent"
assert store.client.get(store.key("count")) == "800"
sys.exit(max(codes))
"""


def test_all_keys_are_in_one_slot_of_a_cluster() -> None:
    assert Store("redis://nowhere", "mine").key("run", "1", "info") == "{mine}:run:1:info"


def test_a_store_of_settings_has_their_address_and_prefix(redis_url: str) -> None:
    store = open_store(Settings(redis_url=redis_url, key_prefix="other"))
    store.ping()
    assert store.key("a") == "{other}:a"
    store.close()


def test_nothing_is_connected_before_the_first_command() -> None:
    store = open_store(Settings(redis_url="unix:///nonexistent/redis.sock"))
    store.script("claim")
    store.pipeline().set("a", "b")
    with pytest.raises(StateUnavailable):
        store.ping()


def test_the_clock_is_that_of_redis(store: Store) -> None:
    first = store.now()
    seconds, micros = store.client.time()
    assert first <= seconds + micros / 1e6 <= store.now()


def test_a_closed_store_connects_again(store: Store) -> None:
    store.client.set(store.key("a"), "1")
    store.close()
    assert store.client.get(store.key("a")) == "1"


def test_a_script_that_the_server_forgot_is_sent_again(store: Store) -> None:
    Runs(store).request("test", Step("pull", "pull", "ctl"))
    store.client.script_flush()
    assert not Runs(store).request("test", Step("pull", "pull", "ctl")).started


@pytest.mark.parametrize("path", sorted((ROOT / "state" / "lua").glob("*.lua")), ids=lambda path: path.stem)
def test_every_script_compiles(store: Store, path: Path) -> None:
    assert len(store.client.script_load(store.script(path.stem).script)) == 40


def test_a_store_is_used_by_many_threads_at_once(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = set(pool.map(lambda _: Runs(store).request("test", Step("pull", "pull", "ctl")).run, range(40)))
    assert len(runs) == 1


def test_children_of_a_fork_use_connections_of_their_own(store: Store) -> None:
    command = [sys.executable, "-c", FORKED, store.url, store.prefix]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
