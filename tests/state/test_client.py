"""`state.client` and `state.unavailable`: what a caller sees when Redis cannot be used."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from waiting import wait_for

from state.client import unavailable
from state.events import Event, Events
from state.lease import Leases
from state.runs import Runs
from state.steps import Step
from state.store import StateUnavailable, Store

StartServer = Callable[..., Path]
FIRST = Step("pull", "pull", "ctl")


def test_a_socket_that_is_not_there_is_said_with_what_to_do() -> None:
    store = Store("unix:///nonexistent/redis.sock")
    with pytest.raises(StateUnavailable) as caught:
        store.ping()
    assert "unix:///nonexistent/redis.sock does not answer" in caught.value.message
    assert "celeriac up" in caught.value.hint
    assert caught.value.reason == "StateUnavailable"


def test_a_port_where_nobody_listens_is_said_without_the_password() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        store = Store(f"redis://user:hunter2@127.0.0.1:{port}/0")
        with pytest.raises(StateUnavailable) as caught:
            store.client.get("x")
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_a_server_that_dies_is_unavailable_to_commands_pipelines_and_scripts_and_is_found_again(
    start_server: StartServer, processes: list[subprocess.Popen[bytes]]
) -> None:
    path = start_server("--save", "")
    store = Store(f"unix://{path}")
    runs = Runs(store)
    runs.request("test", FIRST)
    os.kill(processes[0].pid, signal.SIGKILL)
    processes[0].wait()
    path.unlink()
    for use in (
        store.now,
        runs.current,
        lambda: runs.request("test", FIRST),
        lambda: Events(store).emit(Event("sync_start")),
    ):
        with pytest.raises(StateUnavailable, match="does not answer"):
            use()
    start_server("--save", "")
    assert runs.request("test", FIRST).started, "a script is sent again to a server that does not know it"
    store.close()


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_said_but_not_shown(start_server: StartServer, password: str) -> None:
    path = start_server("--save", "", "--requirepass", "right")
    store = Store(f"unix://{':' + password + '@' if password else ''}{path}")
    with pytest.raises(StateUnavailable) as caught:
        store.ping()
    assert "refuses our password" in caught.value.message
    assert "REDIS_URL" in caught.value.hint
    assert "wrong@" not in str(caught.value)
    store.close()


def test_a_full_server_takes_no_part_of_a_write_and_can_still_be_read(start_server: StartServer) -> None:
    store = Store(f"unix://{start_server('--save', '', '--maxmemory-policy', 'noeviction')}")
    runs = Runs(store)
    run = runs.request("test", FIRST).run
    store.client.config_set("maxmemory", "1")
    transaction = store.pipeline(transaction=True)
    transaction.delete(store.key("run"))
    transaction.set("a", "1")
    for write in (
        lambda: store.client.set("a", "1"),
        lambda: runs.claim(run, "pull", "me", 30),
        lambda: Leases(store).acquire("desired", "me", 30),
        lambda: Events(store).emit(Event("sync_start")),
        transaction.execute,
    ):
        with pytest.raises(StateUnavailable, match="is full") as caught:
            write()
        assert "maxmemory" in caught.value.hint
    current = runs.current()
    assert current is not None
    assert [record.state for record in runs.steps(current.id)] == ["ready"]
    store.client.config_set("maxmemory", "0")
    assert store.client.get("a") is None
    store.close()


def test_a_server_that_cannot_save_is_said_to_need_disk_space(start_server: StartServer, short_folder: Path) -> None:
    path = start_server("--save", "3600 1", "--dbfilename", "dump.rdb")
    store = Store(f"unix://{path}")
    (short_folder / "dump.rdb").mkdir()  # renaming the new file over it fails
    store.client.set("a", "1")
    store.client.bgsave()
    wait_for(lambda: store.client.info("persistence")["rdb_last_bgsave_status"] == "err")
    for write in (lambda: store.client.set("b", "1"), lambda: Runs(store).request("test", FIRST)):
        with pytest.raises(StateUnavailable, match="cannot save") as caught:
            write()
        assert "disk" in caught.value.hint
    assert store.client.get("a") == "1"
    store.close()


def test_a_read_only_replica_is_said_to_be_one(start_server: StartServer) -> None:
    store = Store(f"unix://{start_server('--save', '', '--replicaof', '127.0.0.1 1')}")
    for write in (lambda: store.client.set("a", "1"), lambda: Runs(store).request("test", FIRST)):
        with pytest.raises(StateUnavailable, match="read-only replica"):
            write()
    store.close()


def test_scripts_of_servers_before_redis_7_say_it_in_the_text_only() -> None:
    text = "Error running script (call to f_0): @user_script:8: @user_script: 8: -OOM command not allowed"
    assert "is full" in unavailable("here", redis.ResponseError(text)).message
    assert "read-only" in unavailable("here", redis.ResponseError(text.replace("-OOM", "-READONLY"))).message


def test_a_wrong_command_is_a_fault_of_ours_and_no_condition(store: Store) -> None:
    store.client.set(store.key("a"), "1")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.client.hget(store.key("a"), "b")
    pipe = store.pipeline()
    pipe.hget(store.key("a"), "b")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        pipe.execute()
