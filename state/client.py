"""A Redis client that raises our own error when Redis cannot be used, whichever way it is called.

Only `state.store` makes one. Imported late, since importing redis costs more than a command may take to start.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.client import Pipeline
from redis.retry import Retry

from celeriac.settings import without_password
from state.unavailable import StateUnavailable

_OURS = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.OutOfMemoryError)
_OURS_BY_CODE = ("MISCONF", "-OOM", "-READONLY")  # no class of redis' own; the latter from scripts, before Redis 7


class _GuardedPipeline(Pipeline):
    address = ""

    def execute(self, raise_on_error: bool = True) -> Any:
        try:
            return super().execute(raise_on_error)
        except redis.RedisError as error:
            if not _concerns_server(error):
                raise
            raise unavailable(self.address, error) from error


class GuardedRedis(redis.Redis):
    """`redis.Redis` whose every call raises StateUnavailable instead of redis' own connection errors."""

    address = ""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            if not _concerns_server(error):
                raise
            raise unavailable(self.address, error) from error

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        pipe = _GuardedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.address = self.address
        return pipe


def connect(url: str) -> GuardedRedis:
    """A client for `url` (redis, rediss or unix). Nothing is sent before the first command."""
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        "health_check_interval": 30,
    }
    if url.startswith("unix://"):
        options.pop("socket_connect_timeout")
    else:
        options["socket_keepalive"] = True
    client = GuardedRedis(connection_pool=redis.ConnectionPool.from_url(url, **options))
    client.address = without_password(url)
    return client


def _concerns_server(error: redis.RedisError) -> bool:
    """Whether `error` is about the server as a whole, and not about the command."""
    return isinstance(error, _OURS) or any(code in str(error) for code in _OURS_BY_CODE)


def unavailable(address: str, error: Exception) -> StateUnavailable:
    """What a user is told of `error`, which redis raised for `address`."""
    if isinstance(error, redis.AuthenticationError):
        return StateUnavailable(
            f"Redis at {address} refuses our password: {error}", hint="check the password in REDIS_URL"
        )
    if isinstance(error, redis.OutOfMemoryError) or "-OOM" in str(error):
        return StateUnavailable(
            f"Redis at {address} is full",
            hint="give it more maxmemory (policy noeviction); what runs goes on meanwhile",
        )
    if isinstance(error, redis.ReadOnlyError) or "-READONLY" in str(error):
        return StateUnavailable(f"Redis at {address} is a read-only replica", hint="point REDIS_URL at the primary")
    if "MISCONF" in str(error):
        return StateUnavailable(
            f"Redis at {address} takes no writes, since it cannot save: {error}",
            hint="free some disk space on its machine; its log says more. What runs goes on meanwhile",
        )
    return StateUnavailable(
        f"Redis at {address} does not answer: {error}", hint="is `celeriac up` running? Else check REDIS_URL"
    )
