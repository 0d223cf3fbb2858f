"""The checks of what runs: Celeriac's services, Redis and how it keeps data, the worker, beat, the apps' supervisor."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from celeriac.errors import CeleriacError
from celeriac.settings import Settings, without_password
from cli.check import Check, fail, guarded, ok, warn
from cli.text import one_line, span

if TYPE_CHECKING:
    from state.store import Store

_START = "start it with: celeriac up"
_SKEW = 2.0
_LATE = 3  # intervals without a sync before beat counts as dead


def service_checks(settings: Settings) -> Iterator[Check]:
    """All of them; those that need Redis are left out where it does not answer."""
    from state.store import open_store

    yield services(settings)
    with contextlib.closing(open_store(settings)) as store:
        try:
            store.now()  # connects: that is not the time that it takes to answer
            began = time.time()
            theirs = store.now()
            ended = time.time()
        except CeleriacError as error:
            where = without_password(settings.redis_url) if settings.redis_url else "Celeriac's own"
            yield fail("redis", f"{where}: {one_line(error.message)}", error.hint or _START)
            return
        yield ok("redis", f"answers in {(ended - began) * 1000:.1f}ms")
        yield clock(theirs, began, ended)
        # Redis may go away between two looks: what could not be looked at is a line of its own.
        yield guarded("redis persistence", lambda: persistence(store))
        yield guarded("redis memory", lambda: eviction(store))
        yield guarded("worker", lambda: worker(store, settings))
        yield guarded("beat", lambda: beat(store, settings, theirs))
    yield supervisor(settings)


def services(settings: Settings) -> Check:
    """What `celeriac up` started."""
    from tasks import services as running

    try:
        found = running.status(settings)
    except CeleriacError as error:
        return fail("services", one_line(error.message), error.hint)
    if not found:
        return warn("services", "Celeriac was not started here by `celeriac up`", _START)
    broken = [service for service in found if service.state not in {"running", "starting"}]
    if broken:
        told = ", ".join(f"{service.name} {service.state} ({one_line(service.detail)})" for service in broken)
        return fail("services", told, f"see {running.log_of(settings, broken[0].name)}")
    return ok("services", ", ".join(f"{service.name} {service.state}" for service in found))


def clock(theirs: float, began: float, ended: float) -> Check:
    """Redis' clock against ours: leases and back-off are counted by Redis' clock, health by ours."""
    skew = max(began - theirs, theirs - ended, 0.0)
    if skew > _SKEW:
        return warn("clock", f"differs from Redis' by {skew:.1f}s", "let both machines follow a time server")
    return ok("clock", "agrees with Redis'")


def persistence(store: Store) -> Check:
    """Whether a crash of Redis loses what goes on."""
    if int(store.client.info("persistence").get("aof_enabled", 0)):
        return ok("redis persistence", "append-only file")
    return warn(
        "redis persistence",
        "no append-only file: a crash of Redis loses its memory of runs and history (never an app)",
        "set: appendonly yes",
    )


def eviction(store: Store) -> Check:
    """Whether Redis throws our keys away, or is nearly full."""
    memory = store.client.info("memory")
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    most = int(memory.get("maxmemory", 0))
    used = int(memory.get("used_memory", 0))
    if most and policy != "noeviction":
        return fail(
            "redis memory", f"{policy} throws leases and runs away when it is full", "set: maxmemory-policy noeviction"
        )
    if most and used > 0.8 * most:
        return warn("redis memory", f"{used * 100 // most} % used; a full Redis stops the workers", "raise maxmemory")
    return ok("redis memory", f"{used / 2**20:.0f} MiB used, nothing is evicted")


def worker(store: Store, settings: Settings) -> Check:
    """Whether this machine, or at least some machine, works."""
    from state.nodes import Nodes

    known = Nodes(store).all()
    alive = sorted(name for name, node in known.items() if node.alive)
    if settings.node in alive:
        return ok("worker", f"{settings.node} is alive" + (f", with {len(alive) - 1} more" if len(alive) > 1 else ""))
    if alive:
        return warn("worker", f"{settings.node} is not; {', '.join(alive[:5])} is", "if it should: celeriac up, here")
    return fail("worker", "no node is alive", f"{_START}; or see {settings.home / 'logs' / 'celeriac.worker.log'}")


def beat(store: Store, settings: Settings, now: float) -> Check:
    """Whether somebody asks for a sync every interval."""
    from state.pulse import Pulse

    seen = Pulse(store).get("beat", "last_sync", "next_sync")
    last = max((value for name, value in seen.items() if name != "next_sync"), default=0.0)
    if not last:
        return warn("beat", "no sync has been asked for yet", f"wait {span(settings.interval)}, or see that beat runs")
    age = max(0.0, now - last)
    if age > _LATE * settings.interval + 10:
        return fail("beat", f"the last sync was {span(age)} ago", f"see {settings.home / 'logs' / 'celeriac.beat.log'}")
    return ok("beat", f"the last sync was {span(age)} ago")


def supervisor(settings: Settings) -> Check:
    """The supervisor of the apps on this machine."""
    from runtimes.supervisord import Supervisor

    found = Supervisor(settings.home)
    try:
        answers = found.running()
    except CeleriacError as error:
        return fail("supervisor", one_line(error.message), error.hint)
    if answers:
        return ok("supervisor", "the apps' supervisor answers")
    if any((settings.home / "supervisor" / "conf.d").glob("*.conf")):
        return fail("supervisor", "the apps' supervisor does not run", "the next sync starts it: celeriac sync")
    return ok("supervisor", "not needed yet: no app runs here")
