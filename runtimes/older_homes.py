"""Takes over the apps of a home that an older Celeriac made, as they run: it had one place per app, not two.

    before                                      after
    apps/<app>/{applied.json,env,health.json}   apps/<app>/blue/…, and links at the old names
    apps/<app>/run/                             apps/<app>/blue/run/, but for what is known of kills
    logs/<app>.<process>.log                    logs/<app>@blue.<process>.log, and a link at the old name

Nothing is restarted: locks and open logs go along with their files, and what the process was started with is the same.
The links are made last, `live` first of them: until it is there, whoever looks next begins anew, and finds what was
moved; from then on nothing but the links at the old names is made.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import msgspec

from runtimes import logs
from runtimes.applied import ENV, MANIFEST, Applied, AppliedStore
from runtimes.files import LockTimeoutError, is_app_name, locked, write_atomic
from runtimes.sides import SIDES, log_name

_SIDE = SIDES[0]
_WAIT = 10.0
_decoder = msgspec.json.Decoder(Applied)


def take_over(home: Path, store: AppliedStore) -> list[str]:
    """Have every app of `home` in the present layout; the names of those that were not.

    One that cannot be read, or written, is left as it is: it counts as not deployed, and its next deploy makes it anew.
    """
    apps = home / "apps"
    found = [path.name for path in sorted(apps.iterdir()) if _is_old(path)] if apps.is_dir() else []
    for name in found:
        with contextlib.suppress(OSError, msgspec.MsgspecError, LockTimeoutError), contextlib.ExitStack() as held:
            (home / "locks").mkdir(mode=0o700, parents=True, exist_ok=True)
            held.enter_context(locked(home / "locks" / name, timeout=_WAIT))
            if _is_old(apps / name):
                _take_over(home, store, name)
    return found


def _is_old(folder: Path) -> bool:
    manifest = folder / MANIFEST
    return is_app_name(folder.name) and not manifest.is_symlink() and manifest.is_file()


def _take_over(home: Path, store: AppliedStore, name: str) -> None:
    folder, side = store.folder(name), store.side_folder(name, _SIDE)
    live = store.live_side(name)
    if live is not None:
        store.go_live(name, live)
        return
    applied = _decoder.decode((folder / MANIFEST).read_bytes())
    side.mkdir(mode=0o700, exist_ok=True)
    _move(folder / "run", side / "run")
    if (side / "run" / ".overruns").exists():
        (folder / "run").mkdir(mode=0o700, exist_ok=True)
        _move(side / "run" / ".overruns", folder / "run" / ".overruns")
    _move(folder / "health.json", side / "health.json")
    with contextlib.suppress(FileNotFoundError):
        write_atomic(side / ENV, (folder / ENV).read_bytes())
    for process in applied.processes:
        link = home / "logs" / f"{name}.{process}.log"
        if not link.is_symlink():
            _move(link, link.with_name(log_name(name, _SIDE, process)))
    logs.point(home, name, _SIDE, applied.processes)
    store.put(replace(applied, side=_SIDE, env_file=str(side / ENV)))  # the first one of an app is in force at once


def _move(old: Path, new: Path) -> None:
    """Move what is there, unless that was done before."""
    if not new.exists():
        with contextlib.suppress(FileNotFoundError):
            old.rename(new)
