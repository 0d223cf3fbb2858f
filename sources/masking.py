"""Makes URLs and tools' output fit to be shown: no user name, password or query string survives.

Pure. Everything that this package puts into a message, a tail or a manifest goes through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit, urlunsplit

from celeriac.settings import without_password

_CREDENTIALS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/\"'`<>]*@")
_MASK = "***"


def shown_url(url: str) -> str:
    """`url` without credentials, query (which may be a signature or a token) and fragment."""
    try:
        parts = urlsplit(without_password(url))
        return urlunsplit(parts._replace(query="", fragment=""))
    except ValueError:
        return _MASK


def secrets_of(*urls: str) -> tuple[str, ...]:
    """The parts of `urls` that must not be seen, longest first: user info, passwords, query strings."""
    found: set[str] = set()
    for url in urls:
        try:
            parts = urlsplit(url)
            user, password = parts.username or "", parts.password or ""
        except ValueError:
            found.add(url)
            continue
        if password:
            found |= {password, unquote(password), f"{user}:{password}"}
        elif parts.scheme != "ssh" and len(user) >= 8:  # https://TOKEN@host; ssh://git@host names no secret
            found |= {user, unquote(user)}
        if parts.query:
            found.add(parts.query)
            found |= {value for pair in parts.query.split("&") if len(value := pair.partition("=")[2]) >= 8}
    return tuple(sorted(found - {""}, key=lambda secret: (-len(secret), secret)))


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with the credentials of every URL in it, and each of `secrets`, replaced by `***`."""
    text = _CREDENTIALS.sub(rf"\g<1>{_MASK}@", text)
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return text
