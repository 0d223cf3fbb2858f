"""How a value becomes a document in Redis and back: JSON with the version of its schema in front.

Every stored document says `"schema": 1`, so that an older Celeriac refuses what a newer one wrote
instead of misreading it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from celeriac.errors import CeleriacError

SCHEMA = 1
_PREFIX = f'{{"schema":{SCHEMA},'

Document = TypeVar("Document")
_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


class DocumentError(CeleriacError):
    """A stored document is not one that this version of Celeriac can read."""

    reason = "DocumentUnreadable"


def encode(value: Any) -> str:
    """`value` (a dataclass with at least one field, or a mapping with text keys) as JSON with its schema version."""
    body = _encoder.encode(value).decode()
    return _PREFIX[:-1] + "}" if body == "{}" else _PREFIX + body[1:]


def decode(form: type[Document], text: str) -> Document:
    """The value of type `form` that `encode` wrote as `text`. Raises DocumentError."""
    if not text.startswith((_PREFIX, _PREFIX[:-1] + "}")):
        raise _unknown(form, text)
    decoder = _decoders.get(form)
    if decoder is None:
        decoder = _decoders[form] = msgspec.json.Decoder(form)
    try:
        value: Document = decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise DocumentError(
            f"a stored {form.__name__} cannot be read: {error}",
            hint="it is written anew by the next sync; if it stays, another program uses the same Redis keys",
        ) from error
    return value


class Remembered(Generic[Document]):
    """Decodes many documents again and again: one whose text is as it was the last time is not decoded anew.

    For values that nobody changes, since whoever asks gets the same.
    """

    def __init__(self, form: type[Document]) -> None:
        self._form = form
        self._known: dict[str, tuple[str, Document]] = {}

    def decode(self, texts: Mapping[str, str]) -> dict[str, Document]:
        """The value of each of `texts`, by its key. Raises DocumentError."""
        known, now = self._known, {}
        for key, text in texts.items():
            seen = known.get(key)
            now[key] = seen if seen is not None and seen[0] == text else (text, decode(self._form, text))
        self._known = now
        return {key: value for key, (_, value) in now.items()}


def decode_mapping(text: str) -> dict[str, Any]:
    """The mapping that `encode` wrote as `text`, without its schema version. Raises DocumentError."""
    value = dict(decode(dict, text))
    value.pop("schema", None)
    return value


def _unknown(form: type[Any], text: str) -> DocumentError:
    try:
        version = msgspec.json.decode(text, type=dict).get("schema", "none")
    except msgspec.MsgspecError:
        version = "none"
    return DocumentError(
        f"a stored {form.__name__} has schema version {version}, this Celeriac reads {SCHEMA}",
        hint="run the same version of Celeriac everywhere, or empty its Redis database: no app is lost by that",
    )
