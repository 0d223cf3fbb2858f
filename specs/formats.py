"""The bytes of a spec file to a `Document`: which format, which encoding, how large.

The one door to the format modules; used by `specs.loader`. Every bad input leaves it as a MalformedError
whose faults have a place, whatever the bytes are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from specs.document import MAX_BYTES, Document, MalformedError, malformed
from specs.json_format import read_json
from specs.toml_format import read_toml
from specs.yaml_format import read_yaml

__all__ = ["MAX_BYTES", "Document", "MalformedError", "decode", "read"]

_READERS: dict[str, Callable[[str, frozenset[str]], Document]] = {
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".json": read_json,
    ".toml": read_toml,
}


def read(path: str, blob: bytes, literal: frozenset[str] = frozenset()) -> Document:
    """The document in `blob`, in the format that the ending of `path` names.

    Words directly below the top-level fields in `literal` stay as they are written, where the format
    would otherwise make numbers or truth values of them. Raises MalformedError.
    """
    reader = _READERS.get(PurePosixPath(path).suffix.lower())
    if reader is None:
        raise malformed(f"is none of the known formats: {', '.join(_READERS)}")
    if len(blob) > MAX_BYTES:
        raise malformed(f"is larger than {MAX_BYTES // 1_000_000} MB")
    return reader(decode(blob), literal)


def decode(blob: bytes) -> str:
    """The text in `blob`: UTF-8, with or without a byte order mark, Windows line ends made plain."""
    try:
        text = blob.decode("utf-8")
    except UnicodeDecodeError as error:
        line = blob.count(b"\n", 0, error.start)
        column = error.start - (blob.rfind(b"\n", 0, error.start) + 1)
        raise malformed("is not UTF-8 text", line + 1, column + 1) from error
    return text.removeprefix("\ufeff").replace("\r\n", "\n")
