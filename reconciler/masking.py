"""What an app printed, or a driver said, on its way into Redis: its credentials are masked. Its logs stay as they are.

The last lines of what failed are kept with the outcome, the history and the live state, where many people read them.
"""

from __future__ import annotations

from reconciler.hooklog import secrets_in
from reconciler.parts import Parts
from sources.masking import mask


def masked(parts: Parts, text: str, *digests: str) -> str:
    """`text` without credentials in URLs, and without what is secret in the env of the specs with these digests."""
    if not text:
        return text
    specs = (parts.vault.get(digest) for digest in digests if digest)
    secrets = {secret for spec in specs if spec is not None for secret in secrets_in(spec.env)}
    return mask(text, sorted(secrets, key=len, reverse=True))
