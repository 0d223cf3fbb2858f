"""Where a secret might have got to: everything in a Redis, as text, and a secret's forms in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any


def everything(client: Any, pattern: str = "*") -> str:
    """Every key of `pattern` with its value."""
    return "\n".join(f"{key} {_value(client, key)}" for key in client.scan_iter(pattern, count=1000))


def leaked(secret: str, text: str) -> bool:
    """Whether `text` holds `secret`, as it is or as a part of something in base64."""
    return any(form in text for form in _forms(secret))


def _value(client: Any, key: str) -> str:
    readers = {
        "string": lambda: client.get(key),
        "list": lambda: client.lrange(key, 0, -1),
        "hash": lambda: client.hgetall(key),
        "set": lambda: client.smembers(key),
        "zset": lambda: client.zrange(key, 0, -1, withscores=True),
        "stream": lambda: client.xrange(key),
    }
    kind = client.type(key)
    return "" if kind == "none" else repr(readers[kind]())


def _forms(secret: str) -> Iterator[str]:
    yield secret
    for before in range(3):  # where in three bytes it begins; the ends depend on what is beside it
        encoded = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
        yield encoded[before + 1 if before else 0 : -1]
