"""The parse: which files changed since the last one, and what do they say? Only those are read; many are shared out.

Each file's summary is staged with the run, its whole spec goes to this node's vault; `diff` puts them in force.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence

from reconciler.engine import Engine
from reconciler.steps import diff_step, share_step
from reconciler.work import Work
from specs.desired import DesiredApp
from specs.formats import MAX_BYTES
from specs.loader import choose, load, summary
from specs.model import AppSpec
from specs.problem import Problem
from specs.repository import AppsFolderMissing, RevisionMissing, TreeEntry
from state.documents import decode, encode
from state.events import Event
from state.steps import Claim

SHARE = 250
"""Files that one step reads."""

FEW = 50
"""Folders up to which only those that changed are looked into."""


def parse(engine: Engine, claim: Claim) -> Work:
    """Read what changed, or, when that is much, share it out over workers."""
    began = engine.clock()
    engine.attending.report("parsing")
    shared = claim.step.payload.get("files")
    if shared is not None:
        engine.runs.stage(claim.run, read_files(engine, [tuple(file) for file in shared]))
        return Work()
    files, removed, found = wanted_files(engine, claim.step.revision, engine.desired.blobs(), _head_of(claim))
    start = Event("parse.start", began, revision=claim.step.revision, run=claim.run, extra={"files": len(files)})
    facts = {"removed": removed, "apps_dir_found": found, "parse_began": began}
    effects = engine.store.pipeline()
    before_diff = ["parse", *claim.step.payload.get("before_diff", ())]
    if len(files) <= SHARE:
        engine.runs.stage(claim.run, read_files(engine, files))
        diff = diff_step(claim.step.revision, before_diff)
        return Work(add=[diff], facts=facts, effects=effects, events=(start,))
    shares = [
        share_step(number, claim.step.revision, files[at : at + SHARE])
        for number, at in enumerate(range(0, len(files), SHARE))
    ]
    diff = diff_step(claim.step.revision, [*before_diff, *(share.id for share in shares)])
    return Work(add=[*shares, diff], facts=facts, effects=effects, events=(start,))


def wanted_files(
    engine: Engine, revision: str, known: Mapping[str, str], since: str = ""
) -> tuple[list[tuple[str, str]], list[str], bool]:
    """What must be read at `revision`, where `known` (path → blob) is what was read before, at the revision `since`.

    Of all spec files those whose blob is another, as path and blob; the known paths that are gone; and whether there
    is an apps folder at all. Where git can tell which few folders changed, only those are looked into.
    """
    folder = engine.settings.apps_dir
    few = _changed_folders(engine, since, revision)
    try:
        entries = engine.mirror.tree(revision, folder, few)
        found = True
    except AppsFolderMissing:
        if few:  # they are gone: are there others?
            return wanted_files(engine, revision, known)
        entries, found = [], False
    files = spec_files(entries, folder)
    concerned = [path for path in known if not few or _folder(path, folder) in few]
    changed = [(path, blob_of(entry)) for path, entry in files.items() if known.get(path) != blob_of(entry)]
    return changed, [path for path in concerned if path not in files], found


def _changed_folders(engine: Engine, old: str, new: str) -> list[str]:
    """The apps' folders that differ between two revisions; none where that are many, or git cannot tell."""
    if not old:
        return []
    folder = engine.settings.apps_dir
    try:
        paths = engine.mirror.changed(old, new, folder)
    except RevisionMissing:
        return []
    folders = sorted({_folder(path, folder) for path in paths})
    return folders if len(folders) <= FEW and all(folders) else []


def _folder(path: str, apps_dir: str) -> str:
    """The folder right below `apps_dir` that `path` is in; empty for a file that is in none."""
    parts = path.split("/")
    depth = len(apps_dir.split("/"))
    return parts[depth] if len(parts) > depth + 1 else ""


def _head_of(claim: Claim) -> str:
    return str(claim.step.payload.get("since", ""))


def spec_files(entries: Iterable[TreeEntry], apps_dir: str) -> dict[str, TreeEntry]:
    """The spec file of each folder right below `apps_dir`, by path. Pure."""
    folders: dict[str, dict[str, TreeEntry]] = {}
    depth = len(apps_dir.split("/"))
    for entry in entries:
        parts = entry.path.split("/")
        if len(parts) == depth + 2:
            folders.setdefault(parts[depth], {})[parts[-1]] = entry
    chosen = {folder: choose(names) for folder, names in folders.items()}
    return {folders[folder][name].path: folders[folder][name] for folder, name in chosen.items() if name}


def blob_of(entry: TreeEntry) -> str:
    """What identifies the content of a file, its kind included."""
    return entry.blob if entry.is_file else f"{entry.blob}:{entry.mode}"


def read_files(engine: Engine, files: Sequence[tuple[str, str]]) -> dict[str, str]:
    """path → document of the summary of each file. Whole specs go to the vault."""
    return {path: encode(app) for path, app in load_files(engine, files).items()}


def load_files(engine: Engine, files: Sequence[tuple[str, str]]) -> dict[str, DesiredApp]:
    """path → summary of each file (path, blob)."""
    contents = engine.mirror.read([blob for _, blob in files if ":" not in blob], MAX_BYTES)
    found: dict[str, DesiredApp] = {}
    specs: list[AppSpec] = []
    for path, blob in files:
        folder = posixpath.basename(posixpath.dirname(path))
        content = contents.get(blob)
        if content is None:
            found[path] = _unread(path, blob, folder)
            continue
        loaded = load(path, content, folder)
        if loaded.spec is not None:
            specs.append(loaded.spec)
        found[path] = summary(loaded, path, blob, folder)
    engine.vault.put_all(specs)
    return found


def _unread(path: str, blob: str, folder: str) -> DesiredApp:
    loaded = load(path, b"", folder)
    if blob.endswith(":120000"):
        message = "is a symbolic link; links are not followed"
    elif ":" in blob:
        message = "is a submodule; submodules are not followed"
    else:
        message = f"is larger than {MAX_BYTES // 1_000_000} MB"
    return DesiredApp(
        name=loaded.name, folder=folder, path=path, blob=blob, guessed=True, problems=(Problem(path, message),)
    )


def unstaged(texts: Mapping[str, str]) -> dict[str, DesiredApp]:
    """The summaries that `read_files` made."""
    return {path: decode(DesiredApp, text) for path, text in texts.items()}
