"""The canonical digest of a spec: what is remembered, compared and stamped into live processes.

A digest has three parts, `<release>-<env>-<record>`, each the first 16 hex digits of a SHA-256
over canonical JSON. They follow what a change costs (DESIGN section 3, diff):

- release: version, source, run, limits, isolation, placement, expose, hooks → upgrade
- env: environment variables → reconfigure
- record: everything else → recorded, nothing restarted

So one comparison of two strings tells what must happen, with no need to keep the old spec.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from specs.model import AppSpec

_PART = 16


@dataclass(frozen=True, slots=True)
class Digest:
    """The three parts of a spec's digest."""

    release: str
    env: str
    record: str

    def __str__(self) -> str:
        return f"{self.release}-{self.env}-{self.record}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The parts of `text`; a text of another form becomes a digest that equals no spec's."""
        parts = text.split("-")
        return cls(*parts) if len(parts) == 3 else cls(text, "", "")

    def runs_like(self, other: Digest) -> bool:
        """Whether processes started for `self` and for `other` are the same (record apart)."""
        return self.release == other.release and self.env == other.env


def digest(spec: AppSpec) -> Digest:
    """The digest of `spec`. Equal for any two files that mean the same, in whatever format."""
    release = {
        "version": spec.version,
        "source": spec.source,
        "run": spec.run,
        "limits": spec.limits,
        "isolation": spec.isolation,
        "placement": spec.placement,
        "expose": spec.expose,
        "hooks": {"pre_deploy": spec.hooks.pre_deploy, "post_deploy": spec.hooks.post_deploy},
    }
    record = {
        "name": spec.name,
        "description": spec.description,
        "icon": spec.icon,
        "depends_on": sorted(spec.depends_on),
        "health": spec.health,
        "upgrade": spec.upgrade,
        "prune": spec.prune,
        "renamed_from": spec.renamed_from,
        "suspend": spec.suspend,
        "hooks_timeout": spec.hooks.timeout,
        "windows": spec.windows,
    }
    return Digest(_hash(release), _hash(dict(spec.env)), _hash(record))


def release_id(spec: AppSpec) -> str:
    """The name of the folder that holds the built release: readable, and one per build input.

    Only what the build reads counts (version, source, and whether a server must be in it), so a changed command or
    limit reuses it.
    """
    safe_version = "".join(c if c.isalnum() or c in ".-_" else "_" for c in spec.version)
    read = {"version": spec.version, "source": spec.source, **({"hosted": True} if spec.run.app else {})}
    return f"{safe_version}-{_hash(read)[:8]}"


def _hash(value: Any) -> str:
    canonical = msgspec.json.encode(value, order="sorted")
    return hashlib.sha256(canonical).hexdigest()[:_PART]
