"""Gives a running app a new name: `renamed_from` of DESIGN section 2, for the process runtime.

The supervisor's names and the folders carry an app's name, so its processes are started anew under the new one; its
release is not built again, and its working folder and its port go over. Two copies would clash on both, so they never
run side by side. The order, and what a `kill -9` leaves:

    link, build        nothing of the old app has changed; it runs
    note the heir      from here on the old app is stopped, and seen as stopped
    move the data      it is in one of the two folders, never in both or none
    switch, start      the new app has a manifest; its phase tells how far it got
    drop the note      the new app has proved to work: now it is the owner of the data
    forget the old     as any removal

`adopt` repeated goes on from each of these. Where the old app is deployed or restarted instead, because the renaming
was taken back, `settle` first gives it back what the note says is its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from runtimes import inheritance
from runtimes.applied import Applied
from runtimes.base import RuntimeFailure, Superseded
from runtimes.bringing import Bringer
from runtimes.inheritance import Heir
from runtimes.node_apps import NodeApps
from runtimes.starting import Starter
from runtimes.supervisor_conf import SupervisorConfigError
from runtimes.supervisor_rpc import SupervisorError
from runtimes.switching import Switcher
from specs.appstate import AppState
from specs.digest import release_id
from specs.model import AppSpec


class Adoption:
    """Takes over one app of a node under another name. The caller holds the locks of both names."""

    def __init__(self, node: NodeApps, switcher: Switcher, starter: Starter, bringer: Bringer) -> None:
        self._node = node
        self._switcher = switcher
        self._starter = starter
        self._bringer = bringer

    def concerned(self, *names: str) -> Iterator[str]:
        """`names` and the apps that are taking over from them: all whose locks are needed to change `names`."""
        for name in names:
            yield name
            if self._node.applied(name) is not None:
                heir = inheritance.read_heir(self._node.store.folder(name))
                if heir is not None:
                    yield heir.name

    def settle(self, name: str) -> None:
        """Before `name` is started: end a renaming of it that was cut off.

        An heir that was seen healthy keeps what it has; from any other it is taken back.
        """
        heir = inheritance.read_heir(self._node.store.folder(name))
        if heir is None:
            return
        applied = self._node.applied(heir.name)
        if applied is None or applied.phase != "running":
            self._take_back(name, heir)
        inheritance.drop_heir(self._node.store.folder(name))

    def adopt(self, spec: AppSpec, old_name: str) -> AppState:
        """Have `spec` run in place of `old_name`; see `ProcessRuntime.adopt`."""
        node = self._node
        folder = node.store.folder(old_name)
        self.settle(spec.name)
        heir = inheritance.read_heir(folder)
        if heir is not None and heir.name != spec.name:
            self.settle(old_name)
            heir = None
        old, new = node.applied(old_name), node.applied(spec.name)
        if old is None or (new is not None and heir is None):
            state = self._bringer.bring(spec)  # it has a life of its own already, and its own data
        elif new is not None and new.phase == "running" and self._bringer.goes_on(spec, new):
            state = node.state(spec.name)
        else:
            state = self._take_over(spec, old, heir)
        inheritance.drop_heir(folder)
        if self._bringer.knows(old_name):
            self._bringer.forget(old_name)
        return state

    def _take_over(self, spec: AppSpec, old: Applied, heir: Heir | None) -> AppState:
        """Build, stop the old one, start the new one; whatever fails, the old one is started again."""
        try:
            return self._try_take_over(spec, old, heir)
        except OSError as error:
            failure = RuntimeFailure(
                spec.name,
                "start",
                f"what belongs to {old.name} cannot be handed over: {error.strerror or type(error).__name__}",
                reason="NotHandedOver",
                hint="check the space on the disk and who owns the home folder",
            )
            self._restore(old.name, failure)
            raise failure from error
        except (RuntimeFailure, SupervisorError, SupervisorConfigError) as error:
            self._restore(old.name, error)
            raise

    def _try_take_over(self, spec: AppSpec, old: Applied, heir: Heir | None) -> AppState:
        node, switcher = self._node, self._switcher
        old_folder, new_folder = node.store.folder(old.name), node.store.folder(spec.name)
        if _says_its_source(spec):
            inheritance.link_releases(old_folder, new_folder, {release_id(spec), *_release_ids(old)})
        release, processes = switcher.build(spec, None)
        switcher.refuse_taken_ports(spec, old.name, wait=False)
        route = node.route(spec)
        if route is not None and old.expose is not None:  # else the old app itself may have that port until it stops
            node.front.check(spec.name, route, (old.name,))
        blocked = inheritance.in_the_way(old_folder, new_folder)
        if blocked is not None:
            raise RuntimeFailure(
                spec.name,
                "start",
                f"it has data of its own, and so has {old.name}; {blocked} is in the way of keeping both",
                reason="DataInTheWay",
                hint=f"move {blocked.name} elsewhere or remove it",
            )
        if heir is None:
            inheritance.put_heir(old_folder, Heir(spec.name, old.phase, (old_folder / "data").exists()))
        node.store.put(replace(old, phase="stopped"))
        node.supervisor.put(spec.name, processes, old.side)  # while the old one still runs: it takes a moment
        node.context.report("stopping")
        node.supervisor.stop(old.name)
        node.supervisor.stop(spec.name)
        inheritance.move_data(old_folder, new_folder)
        switcher.refuse_taken_route(spec, old.name)
        node.front.settle(old.name, None)
        switcher.refuse_taken_ports(spec, wait=True)
        before = _moved(old, heir, old_folder, new_folder)
        with switcher.switched(spec, release, processes, before) as switched:
            state = self._starter.start(switched)
        node.front.settle(spec.name, node.route(spec))
        return state

    def _restore(self, old_name: str, failure: Exception) -> None:
        """Start the old app again where it was stopped for the new one."""
        heir = inheritance.read_heir(self._node.store.folder(old_name))
        if heir is None:
            return
        try:
            self._take_back(old_name, heir)
            if heir.phase in {"starting", "running"}:
                self._starter.start(self._node.require(old_name, "start"))
        except Superseded:
            return  # it was started; only nobody waits for it any more
        except (RuntimeFailure, SupervisorError, SupervisorConfigError, OSError) as error:
            what = getattr(failure, "message", str(failure))
            problem = getattr(error, "message", str(error))
            raise RuntimeFailure(
                heir.name,
                getattr(failure, "step", "start"),
                f"{what}; and {old_name} could not be started again: {problem}",
                output=getattr(failure, "output", ()),
                reason="NotRestored",
                hint="the next sync tries again",
            ) from failure

    def _take_back(self, old_name: str, heir: Heir) -> None:
        """Remove the heir and give its data to the old app, which is as it was then, but for being started."""
        node = self._node
        old_folder = node.store.folder(old_name)
        self._bringer.forget(heir.name)
        inheritance.give_back_data(old_folder, node.store.folder(heir.name), heir)
        old = node.applied(old_name)
        if old is not None:
            node.store.put(replace(old, phase=heir.phase))
        inheritance.drop_heir(old_folder)


def _says_its_source(spec: AppSpec) -> bool:
    """Whether equal ids of releases mean equal code under both names: not where the name is the package's."""
    return spec.source.type != "pypi" or bool(spec.source.package)


def _release_ids(old: Applied) -> set[str]:
    """The release that runs, and the one before it for a roll-back."""
    return {old.release_id, *([Path(old.previous.release).name] if old.previous else [])}


def _moved(old: Applied, heir: Heir | None, old_folder: Path, new_folder: Path) -> Applied:
    """`old` as if it had always had the new name, for what the new manifest remembers of it.

    Releases that did not go over are forgotten: the old app's own will be pruned some day.
    """

    def here(release: str) -> str:
        path = Path(release)
        if path.parent != old_folder / "releases" or not (new_folder / "releases" / path.name).is_dir():
            return ""
        return str(new_folder / "releases" / path.name)

    previous = old.previous
    if previous is not None:
        previous = replace(previous, release=here(previous.release)) if here(previous.release) else None
    phase = heir.phase if heir is not None else old.phase
    if not here(old.release):
        phase = "failed"  # nothing to go back to
    return replace(old, release=here(old.release), previous=previous, phase=phase)
