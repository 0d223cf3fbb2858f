"""Whether a process listens on a port, asked of the kernel by netlink (`man 7 sock_diag`).

It names the listening sockets alone. /proc/net/tcp walks through every bucket and connection of the machine: 5 ms on an
idle one, and ever more on one that serves many. The layouts are those of linux/inet_diag.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

_SOCK_DIAG = 4  # the netlink family
_BY_FAMILY = 20  # the request
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DONE, _ERROR = 3, 2
_LISTEN = 1 << 10
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, pid
_ASK = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states, a socket's id
_TOLD = struct.Struct("=BBBB2s2s44xIIIII")  # family…, own port, …, expires, queues, user, inode


def listens(pid: int, port: int) -> bool:
    """Whether the process `pid` listens on the TCP port. Raises OSError where the kernel does not tell."""
    inodes = {f"socket:[{inode}]" for family in (socket.AF_INET, socket.AF_INET6) for inode in _inodes(family, port)}
    return bool(inodes) and any(target in inodes for target in _targets(pid))


def _inodes(family: int, port: int) -> Iterator[int]:
    """The listening sockets of one family that have the port."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(1.0)
        ask = _ASK.pack(family, socket.IPPROTO_TCP, 0, _LISTEN)
        kernel.send(_HEADER.pack(_HEADER.size + len(ask), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + ask)
        while True:
            told = kernel.recv(65536)
            while len(told) >= _HEADER.size:
                length, kind, *_ = _HEADER.unpack_from(told)
                if kind == _ERROR or not _HEADER.size <= length <= len(told):
                    raise OSError("the kernel does not tell which sockets listen")
                if kind == _DONE:
                    return
                if length < _HEADER.size + _TOLD.size:
                    raise OSError("the kernel tells less of a socket than it should")
                *_, own, _, _, _, _, _, inode = _TOLD.unpack_from(told, _HEADER.size)
                if int.from_bytes(own, "big") == port:
                    yield inode
                told = told[(length + 3) & ~3 :]


def _targets(pid: int) -> Iterator[str]:
    """What the descriptors of a process lead to."""
    folder = f"/proc/{pid}/fd"
    for descriptor in os.listdir(folder):  # noqa: PTH208 - a path object for each is what costs here
        try:
            yield os.readlink(f"{folder}/{descriptor}")  # noqa: PTH115
        except FileNotFoundError:
            continue
