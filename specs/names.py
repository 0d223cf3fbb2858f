"""What an app may be called, what one is called whose file does not say, and which known name a misspelt one is near.

A name becomes a folder, a key in Redis and a program of the supervisor, so its form is the same everywhere.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable

NAME = r"[a-z][a-z0-9_-]{0,62}"
NAME_WANTED = "must be 1 to 63 of a-z, 0-9, dash and underscore, starting with a letter"

_NAME = re.compile(NAME)


def is_name(text: str) -> bool:
    """Whether `text` is a valid name of an app."""
    return _NAME.fullmatch(text) is not None


def name_from_folder(folder: str) -> str:
    """A valid name made of a folder's name: itself where it is one, and the same each time."""
    return folder if is_name(folder) else marked_name(folder, folder)


def marked_name(base: str, unique: str) -> str:
    """A valid name that reads like `base` and is taken by nothing else than `unique`."""
    mark = hashlib.sha256(unique.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    words = re.sub(r"[^a-z0-9_-]+", "-", base.lower()).strip("-_")[:50]
    return f"{words}-{mark}" if words[:1].isalpha() else f"app-{mark}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean …?` when one of `known` is near `word`, else nothing."""
    near = difflib.get_close_matches(word.lower().replace("-", "_")[:80], list(known), n=1, cutoff=0.6)
    return f" Did you mean `{near[0]}`?" if near else ""
