"""Upgrades a hosted app in its running process: strategy `hot_reload` of DESIGN section 5, seen from Celeriac.

Whether it can be done is decided by `why_not`, purely, before anything is touched. Then, over the control socket of the
host (`runtimes.host`), with the new release already built:

    suspend            new requests are held, those inside end. Bound to our connection: if we die the app goes on
    manifest, env, link  what is applied is the new release, its phase `switching`, then `starting`: whatever starts the
                       app from here on starts the new release
    upgrade            the modules are reloaded, hooks called; all or nothing
    resume             requests go on
    probe, proved      phase `running`

Killed before the manifest nothing has changed. Killed after it, the host says which code it runs, which is what is
observed (`runtimes.observe`): the old one, and the next deploy of the same spec reloads it; or the new one, and it only
probes. Where the host refuses, manifest, link and environment are put back, and somebody else brings the app to its
spec: what is wrong is said in a `Fallback`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runtimes import releases
from runtimes.applied import Applied
from runtimes.base import Superseded
from runtimes.facts import all_up, identities
from runtimes.host_client import HostClient, HostGone, HostRefused
from runtimes.node_apps import NodeApps
from runtimes.release_facts import ReleaseFacts, read_facts
from runtimes.starting import Starter
from runtimes.supervisor_rpc import ProcessInfo
from runtimes.switching import asked_port, described
from specs.digest import digest
from specs.model import MAIN, AppSpec

LEASE_SECONDS = 15.0
DRAIN_SECONDS = 5.0
CHANGE_SECONDS = 60.0
SETTLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Fallback:
    """Why the app was not changed as it ran. `said` is false where there was nothing to: then nobody needs to know."""

    why: str
    said: bool = True


def why_not(
    applied: Applied,
    spec: AppSpec,
    commands: Mapping[str, tuple[str, ...]],
    release: Path,
    old: ReleaseFacts,
    new: ReleaseFacts,
) -> str:
    """Why the running app cannot become `spec` in its process; empty when it can. Pure.

    `commands` are those of `spec` in its `release`, `old` is what the release that really runs is made of, `new` what
    that one is.
    """
    reasons = (
        ("the running release is not run.app", not applied.app),
        ("it is run.app no more", not spec.run.app),
        ("run.app is another callable", applied.app != spec.run.app),
        ("its isolation changed", applied.isolation != spec.isolation),
        ("its limits changed", (applied.memory, applied.cpus) != (spec.limits.memory, spec.limits.cpus)),
        ("its port changed", asked_port(spec) not in (0, applied.port)),
        ("what it is exposed by changed", applied.expose != spec.expose),
        ("its Python changed", old.python != new.python),
        (_dependencies(old, new), old.dependencies != new.dependencies),
        (_extensions(old, new), old.extensions != new.extensions),
        (
            "its command changed",
            _without(applied.processes, Path(applied.release)) != _without(commands, release),
        ),
        ("its package has another name", old.distribution != new.distribution),
    )
    return next((reason for reason, holds in reasons if holds), "")


def _without(commands: Mapping[str, tuple[str, ...]], release: Path) -> dict[str, tuple[str, ...]]:
    """`commands` as they read wherever their release is."""
    return {name: tuple(word.replace(f"{release}/", "") for word in argv) for name, argv in commands.items()}


def _dependencies(old: ReleaseFacts, new: ReleaseFacts) -> str:
    names = sorted(
        name
        for name in {*old.dependencies, *new.dependencies}
        if old.dependencies.get(name) != new.dependencies.get(name)
    )
    return f"its dependencies changed: {_named(names)}"


def _extensions(old: ReleaseFacts, new: ReleaseFacts) -> str:
    names = sorted(
        Path(file).name
        for file in {*old.extensions, *new.extensions}
        if old.extensions.get(file) != new.extensions.get(file)
    )
    return f"its C extensions changed: {_named(names)}"


def _named(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


class HotReload:
    """Hot reloads the apps of a node. The caller holds the lock of the app."""

    def __init__(self, node: NodeApps, starter: Starter) -> None:
        self._node = node
        self._starter = starter

    def bring(
        self, spec: AppSpec, applied: Applied, release: Path, commands: Mapping[str, tuple[str, ...]]
    ) -> Fallback | None:
        """Have the running app run `spec`, healthy; or say why something else must be done. Raises Superseded."""
        if not applied.app:
            return Fallback("the running release is not run.app")
        processes = self._node.processes(applied)
        if set(processes) != {MAIN} or not all_up(applied, processes):
            return Fallback("it does not run", said=False)
        try:
            with HostClient(Path(applied.env_file).parent, MAIN, processes[MAIN].pid) as host:
                return self._with(host, spec, applied, release, commands, processes)
        except HostGone as error:
            return Fallback(f"the host process: {error}")
        except OSError as error:
            return Fallback(f"a release cannot be read: {error.strerror or type(error).__name__}")

    def _with(
        self,
        host: HostClient,
        spec: AppSpec,
        applied: Applied,
        release: Path,
        commands: Mapping[str, tuple[str, ...]],
        processes: Mapping[str, ProcessInfo],
    ) -> Fallback | None:
        node = self._node
        status = host.ask("status")
        running = Path(str(status["release"]))
        if running == release and applied.parts.release == digest(spec).release:
            return Fallback("its code is the one that is wanted", said=False)
        new = read_facts(release)
        why = why_not(applied, spec, commands, release, read_facts(running), new)
        if why:
            return Fallback(why)
        if node.context.cancelled():
            raise Superseded(f"{spec.name}: a newer desired state waits")
        node.context.report("reloading")
        what = {"release": str(release), "distribution": new.distribution}
        began = time.monotonic()
        try:
            host.ask(
                "suspend",
                timeout=DRAIN_SECONDS + CHANGE_SECONDS,
                seconds=LEASE_SECONDS,
                drain=DRAIN_SECONDS,
                bound=True,
                **what,
            )
        except HostRefused as refused:
            return Fallback(str(refused))
        suspended = time.monotonic()
        env = node.store.env(spec.name)
        wanted = self._put_in_place(spec, applied, release, commands, processes)
        try:
            done = host.ask(
                "upgrade",
                timeout=CHANGE_SECONDS,
                version=spec.version,
                digest=str(digest(spec)),
                revision=spec.revision,
                **what,
            )
        except (HostRefused, HostGone) as refused:
            self._put_back(applied, env)
            return Fallback(str(refused))
        host.ask("resume")
        held = time.monotonic() - suspended
        self._tell(spec, str(status["version"]), done, held, suspended - began)
        node.context.report("probing")
        grace = min(spec.health.grace, SETTLE_SECONDS) if spec.health else SETTLE_SECONDS
        result = self._starter.wait(wanted, grace)
        if not result.ok:
            return Fallback(f"reloaded, but {result.message}")
        self._starter.proved(wanted)
        return None

    def _put_in_place(
        self,
        spec: AppSpec,
        applied: Applied,
        release: Path,
        commands: Mapping[str, tuple[str, ...]],
        processes: Mapping[str, ProcessInfo],
    ) -> Applied:
        """Have manifest, environment and link say the new release. Returns the manifest, phase `starting`."""
        node = self._node
        wanted = described(
            replace(
                applied,
                version=spec.version,
                release=str(release),
                processes={name: tuple(argv) for name, argv in commands.items()},
                reload_signal=spec.run.reload_signal,
                venv=(release / "venv" / "bin" / "python").exists(),
                message="",
                phase="switching",
                reloaded=identities(processes),  # from here on the host is asked what it runs
                previous=applied.previous if applied.release == str(release) else applied.as_previous(),
            ),
            spec,
        )
        node.store.put(wanted)
        env_sha256 = node.store.put_env(spec.name, spec.env)
        releases.switch_current(node.store.folder(spec.name), release)
        return node.store.put(replace(wanted, env_sha256=env_sha256, phase="starting"))

    def _put_back(self, applied: Applied, env: Mapping[str, str]) -> None:
        """Have all of that say what it said before; the manifest last."""
        store = self._node.store
        releases.switch_current(store.folder(applied.name), Path(applied.release))
        store.put_env(applied.name, env)
        store.put(applied)

    def _tell(self, spec: AppSpec, old_version: str, done: Mapping[str, Any], held: float, prepared: float) -> None:
        tell = self._node.context.tell
        times = {"held_seconds": round(held, 3), "prepared_seconds": round(prepared, 3)}
        counts = {"instances": done["moved"], "instances_left": done["left"]}
        tell("code.load", spec, {"from_version": old_version, "modules": list(done["loaded"]), **times, **counts})
        if done["purged"]:
            tell("code.purge", spec, {"from_version": old_version, "modules": list(done["purged"])})
