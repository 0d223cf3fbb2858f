"""What git prints about commits, trees, refs and blobs, as values. Pure.

Used by `specs.repository` alone. Each parser takes the whole output of one command and raises
ValueError when it is not of the form that the command promises: cut short, or from a damaged
object store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit. `committed_at` is seconds since 1970; the texts hold no control characters."""

    revision: str
    author: str
    subject: str
    committed_at: float


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a tree, by its full path.

    `mode` as git writes it: 100644, 100755 (executable), 120000 (link), 160000 (submodule).
    """

    path: str
    mode: str
    blob: str
    size: int

    @property
    def is_file(self) -> bool:
        """Whether its content is a file's: a link's is the path that it leads to, a submodule has none."""
        return self.mode in {"100644", "100755"}


def parse_refs(output: bytes) -> dict[str, str]:
    """Object ids by ref's name, from `ls-remote`."""
    rows = (line.split("\t", 1) for line in output.decode("utf-8", "surrogateescape").splitlines() if line)
    return {name: object_id for object_id, name in rows}


def parse_log(output: bytes) -> list[Commit]:
    """Commits, from `log -z --format=%H%x00%an%x00%s%x00%ct`."""
    fields = output.decode("utf-8", "replace").split("\0")
    if fields[-1] == "":
        fields.pop()
    if not fields or len(fields) % 4:
        raise ValueError("a commit cannot be read")
    rows = (fields[at : at + 4] for at in range(0, len(fields), 4))
    return [Commit(row[0], _CONTROL.sub(" ", row[1]), _CONTROL.sub(" ", row[2]), float(row[3])) for row in rows]


def parse_tree(output: bytes) -> list[TreeEntry]:
    """Entries, from `ls-tree -r -z -l`. A path that is not UTF-8 is kept by surrogate escapes."""
    entries = []
    for row in output.split(b"\0"):
        if row:
            facts, _, path = row.partition(b"\t")
            mode, _kind, blob, size = facts.decode("ascii").split()
            entries.append(
                TreeEntry(path.decode("utf-8", "surrogateescape"), mode, blob, 0 if size == "-" else int(size))
            )
    return entries


def parse_check(output: bytes) -> dict[str, int]:
    """Sizes by blob id, from `cat-file --batch-check`; other objects are left out."""
    sizes = {}
    for line in output.decode("ascii", "replace").splitlines():
        name, kind, *rest = line.split()
        if len(rest) != 1:
            raise ValueError(f"{name} is {kind}")
        if kind == "blob":
            sizes[name] = int(rest[0])
    return sizes


def parse_batch(output: bytes) -> dict[str, bytes]:
    """Contents by blob id, from `cat-file --batch`."""
    contents = {}
    at = 0
    while at < len(output):
        end = output.index(b"\n", at)
        blob, kind, *rest = output[at:end].decode("ascii", "replace").split()
        if kind != "blob" or len(rest) != 1:
            raise ValueError(f"{blob} is {kind}")
        start, stop = end + 1, end + 1 + int(rest[0])
        if output[stop : stop + 1] != b"\n":
            raise ValueError(f"{blob} is cut short")
        contents[blob] = output[start:stop]
        at = stop + 1
    return contents
