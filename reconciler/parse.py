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
from specs.problem import Problem
from specs.repository import AppsFolderMissing, TreeEntry
from state.documents import decode, encode
from state.events import Event
from state.steps import Claim

SHARE = 250
"""Files that one step reads."""


def parse(engine: Engine, claim: Claim) -> Work:
    """Read what changed, or, when that is much, share it out over workers."""
    began = engine.clock()
    engine.attending.report("parsing")
    shared = claim.step.payload.get("files")
    if shared is not None:
        engine.runs.stage(claim.run, read_files(engine, [tuple(file) for file in shared]))
        return Work()
    known = {path: app.blob for path, app in engine.desired.files().items()}
    files, removed, found = wanted_files(engine, claim.step.revision, known)
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
    engine: Engine, revision: str, known: Mapping[str, str]
) -> tuple[list[tuple[str, str]], list[str], bool]:
    """Of all spec files at `revision`: those whose blob is not `known` (path → blob), the known paths that are
    gone, and whether there is an apps folder at all."""
    try:
        entries = engine.mirror.tree(revision, engine.settings.apps_dir)
        found = True
    except AppsFolderMissing:
        entries, found = [], False
    files = spec_files(entries, engine.settings.apps_dir)
    changed = [(path, blob_of(entry)) for path, entry in files.items() if known.get(path) != blob_of(entry)]
    return changed, [path for path in known if path not in files], found


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
    for path, blob in files:
        folder = posixpath.basename(posixpath.dirname(path))
        content = contents.get(blob)
        if content is None:
            found[path] = _unread(path, blob, folder)
            continue
        loaded = load(path, content, folder)
        if loaded.spec is not None:
            engine.vault.put(loaded.spec)
        found[path] = summary(loaded, path, blob, folder)
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
