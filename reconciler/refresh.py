"""The newest commit wins: while a run goes on, a newer desired state is put in force at once, beside it.

Steps of the run whose app has another digest now give up at their next safe point; those of other apps go on. The
run that follows plans what the new state asks for. Only when the run has planned already: before, its own diff would
be overtaken.
"""

from __future__ import annotations

from reconciler.diff import put_in_force
from reconciler.engine import Engine
from reconciler.parse import load_files, wanted_files
from reconciler.pull import remember_remote
from specs.git_command import GitError
from specs.repository import RepositoryError

_TTL = 120.0


def refresh(engine: Engine, run: str) -> bool:
    """Put a newer revision in force while `run` goes on; whether there was one. Repeating it is harmless."""
    if not engine.runs.facts(run).get("planned"):
        return False
    lease = engine.leases.acquire("desired", engine.owner(), _TTL)
    if lease is None:  # somebody else is at it, or the next diff is
        return False
    try:
        return _refresh(engine)
    except (RepositoryError, GitError) as error:
        remember_remote(engine, error)
        return False
    finally:
        engine.leases.release(lease)


def _refresh(engine: Engine) -> bool:
    head = engine.desired.head()
    if head is None or engine.mirror.remote_revision() == head.revision:
        return False
    revision = engine.mirror.fetch().revision
    files, removed, found = wanted_files(engine, revision, engine.desired.blobs(), head.revision)
    put_in_force(engine, revision, load_files(engine, files), removed, apps_dir_found=found)
    return True
